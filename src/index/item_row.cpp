#include "index/item_row.h"

#include <charconv>

#include "base/bytes.h"
#include "item/json.h"
#include "item/row.h"

namespace baleen::index {
namespace {

/// Every column once: the journal's two directions and nothing else need the list in this form.
template <class Row, class Number, class Text>
void each_field(Row& r, Number number, Text text) {
  for (auto* n : {&r.time_ns, &r.elapsed_us, &r.request_size, &r.response_size, &r.index, &r.src_port, &r.dst_port,
                  &r.status, &r.vlan})
    number(*n);
  for (auto* t : {&r.id,          &r.stream, &r.node,     &r.protocol,      &r.abbreviation, &r.version,
                  &r.error,       &r.src_ip, &r.src_name, &r.src_namespace, &r.src_pod,      &r.src_service,
                  &r.src_process, &r.dst_ip, &r.dst_name, &r.dst_namespace, &r.dst_pod,      &r.dst_service,
                  &r.dst_process, &r.method, &r.path,     &r.host,          &r.status_text,  &r.json})
    text(*t);
}

int64_t status_number(const item::Value& status) {
  if (status.is_number()) return status.as_int();
  int64_t n = -1;
  const std::string_view text = status.text();
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  return ec == std::errc() && end == text.data() + text.size() ? n : -1;
}

/// The pod as a filter names it: a column is asked before the item's JSON is, so it must say the same.
std::string pod_of(const item::ResolvedEndpoint& end) {
  const std::string_view name = end.pod_object["metadata"]["name"].text();
  return std::string(name.empty() ? std::string_view(end.pod) : name);
}

}  // namespace

ItemRow row_from(const item::Item& item, std::string_view recording) {
  ItemRow r;
  r.time_ns = to_ns(item.time());
  r.elapsed_us = item.elapsed().count() / 1000;
  r.request_size = static_cast<int64_t>(item.request.size + item.data.size);
  r.response_size = static_cast<int64_t>(item.response.size);
  r.index = static_cast<int64_t>(item.index);
  r.vlan = item.vlan;
  r.tls = item.tls;
  r.stream = item::stream_name(item);
  if (item.origin != nullptr) r.node = item.origin->node_name;
  if (item.protocol != nullptr) {
    r.protocol = item::short_name(*item.protocol);
    r.abbreviation = item.protocol->abbreviation;
    r.version = item.protocol->version;
  }
  r.error = item::error_of(item);
  r.src_ip = net::to_string(item.client.address.ip);
  r.src_port = item.client.address.port;
  r.dst_ip = net::to_string(item.server.address.ip);
  r.dst_port = item.server.address.port;
  r.src_name = item.client.name;
  r.src_namespace = item.client.name_space;
  r.src_pod = pod_of(item.client);
  r.src_service = item.client.service;
  r.src_process = item.client.process;
  r.dst_name = item.server.name;
  r.dst_namespace = item.server.name_space;
  r.dst_pod = pod_of(item.server);
  r.dst_service = item.server.service;
  r.dst_process = item.server.process;
  const item::Row shown = item::row_of(item);
  r.method = item::display(shown.method);
  r.path = item::display(shown.summary);
  r.status_text = item::display(shown.status);
  r.status = status_number(shown.status);
  r.host = item.request.present ? std::string(item.request.payload["headers"]["host"].text()) : std::string();
  item::append_json(item, recording, r.json);
  Arena arena;
  r.id = item::member(item, "id", arena).text();
  return r;
}

void append_row(const ItemRow& row, std::string& out) {
  const auto put = [&out](const void* p, size_t n) { out.append(static_cast<const char*>(p), n); };
  const size_t start = out.size();
  out.append(4, '\0');
  each_field(
      row, [&](int64_t n) { put(&n, sizeof n); },
      [&](const std::string& text) {
        const auto size = static_cast<uint32_t>(text.size());
        put(&size, sizeof size);
        put(text.data(), size);
      });
  out += row.tls ? '\1' : '\0';
  const auto size = static_cast<uint32_t>(out.size() - start - 4);
  std::memcpy(out.data() + start, &size, 4);
}

bool read_row(std::string_view bytes, ItemRow& row) {
  ByteReader r(as_bytes(bytes));
  each_field(
      row, [&](int64_t& n) { n = static_cast<int64_t>(r.le64()); },
      [&](std::string& text) { text = r.text(r.le32()); });
  row.tls = r.u8() != 0;
  return r.ok() && r.at_end();
}

}  // namespace baleen::index
