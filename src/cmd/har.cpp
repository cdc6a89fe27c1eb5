#include "cmd/har.h"

#include <nlohmann/json.hpp>

namespace baleen::cmd {

using nlohmann::json;

struct HarWriter::Document {
  json entries = json::array();
};

namespace {

/// Items keep maps where HAR has lists of name and value.
json pairs(const json& map) {
  json list = json::array();
  if (map.is_object())
    for (auto m = map.begin(); m != map.end(); ++m)
      list.push_back({{"name", m.key()}, {"value", m->is_string() ? m->get<std::string>() : m->dump()}});
  return list;
}

const json& member_of(const json& j, const char* name) {
  static const json kNothing = json::object();
  const auto found = j.find(name);
  return found == j.end() || found->is_null() ? kNothing : *found;
}

std::string absolute_url(const json& item, const json& request) {
  const std::string url = request.value("url", "");
  if (url.find("://") != std::string::npos) return url;
  const json& headers = member_of(request, "headers");
  std::string host = member_of(item, "dst").value("ip", "") + ":" + member_of(item, "dst").value("port", "");
  for (auto h = headers.begin(); h != headers.end(); ++h)
    if ((h.key() == "Host" || h.key() == "host") && h->is_string()) host = h->get<std::string>();
  return (item.value("tls", false) ? "https://" : "http://") + host + url;
}

json request_of(const json& item) {
  const json& r = member_of(item, "request");
  json out = {{"method", r.value("method", "")},           {"url", absolute_url(item, r)},
              {"httpVersion", r.value("httpVersion", "")}, {"cookies", pairs(member_of(r, "cookies"))},
              {"headers", pairs(member_of(r, "headers"))}, {"queryString", pairs(member_of(r, "queryString"))},
              {"headersSize", r.value("headersSize", -1)}, {"bodySize", r.value("bodySize", -1)}};
  if (const json& post = member_of(r, "postData"); post.is_object() && !post.empty()) {
    out["postData"] = {{"mimeType", post.value("mimeType", "")}, {"text", post.value("text", "")}};
    // HAR has no word for bytes here; names of one's own begin with an underscore.
    if (const std::string encoding = post.value("encoding", ""); !encoding.empty())
      out["postData"]["_encoding"] = encoding;
  }
  return out;
}

json response_of(const json& item) {
  const json& r = member_of(item, "response");
  const json& content = member_of(r, "content");
  json out_content = {{"size", content.value("size", 0)},
                      {"mimeType", content.value("mimeType", "")},
                      {"text", content.value("text", "")}};
  if (const std::string encoding = content.value("encoding", ""); !encoding.empty()) out_content["encoding"] = encoding;
  return {{"status", r.value("status", 0)},
          {"statusText", r.value("statusText", "")},
          {"httpVersion", r.value("httpVersion", "")},
          {"cookies", pairs(member_of(r, "cookies"))},
          {"headers", pairs(member_of(r, "headers"))},
          {"content", out_content},
          {"redirectURL", r.value("redirectURL", "")},
          {"headersSize", r.value("headersSize", -1)},
          {"bodySize", r.value("bodySize", -1)}};
}

}  // namespace

HarWriter::HarWriter() : document_(std::make_unique<Document>()) {}
HarWriter::~HarWriter() = default;

bool HarWriter::add(std::string_view item_json) try {
  const json item = json::parse(item_json);
  if (member_of(item, "protocol").value("name", "") != "http" || member_of(item, "request").empty()) return false;
  const double ms = item.value("elapsedTime", 0.0) / 1000;
  document_->entries.push_back({{"startedDateTime", item.value("startTime", "")},
                                {"time", ms},
                                {"request", request_of(item)},
                                {"response", response_of(item)},
                                {"cache", json::object()},
                                {"timings", {{"send", 0}, {"wait", ms}, {"receive", 0}}},
                                {"serverIPAddress", member_of(item, "dst").value("ip", "")},
                                {"connection", item.value("stream", "")},
                                {"_id", item.value("id", "")}});
  return true;
} catch (const json::exception&) {
  return false;  // an item whose JSON has other types where HAR wants these is no HTTP exchange
}

std::string HarWriter::text() const {
  return json{{"log",
               {{"version", "1.2"},
                {"creator", {{"name", "baleen"}, {"version", BALEEN_VERSION}}},
                {"entries", document_->entries}}}}
      .dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace baleen::cmd
