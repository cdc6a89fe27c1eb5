#include "dissect/selection.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "dissect/registry.h"

namespace baleen::dissect {
namespace {

struct L4Name {
  std::string_view name;
  bool L4Items::* wanted;
  bool by_default;
};
constexpr L4Name kL4Names[] = {
    {"icmp", &L4Items::icmp, true},          {"tcp_conn", &L4Items::tcp_conn, false},
    {"udp_conn", &L4Items::udp_conn, false}, {"tcp_flow", &L4Items::tcp_flow, false},
    {"udp_flow", &L4Items::udp_flow, false}, {"sctp_conn", &L4Items::sctp_conn, false},
    {"tcp", &L4Items::tcp, false},           {"udp", &L4Items::udp, false},
    {"sctp", &L4Items::sctp, false},
};

// What a name of the reference product means beside the dissector of that name: versions, and whom they are handed
// from.
constexpr std::pair<std::string_view, std::string_view> kWith[] = {
    {"http", "http2"},   {"http2", "http"}, {"ws", "http"},   {"websocket", "http"},
    {"ws", "websocket"}, {"tls", "dtls"},   {"tls", "quic"},  {"grpc", "http"},
    {"grpc", "http2"},   {"gql", "http"},   {"gql", "http2"},
};

bool makes(const ProtocolEntry& entry, std::string_view name) {
  return entry.name == name || std::any_of(entry.cards.begin(), entry.cards.end(),
                                           [&](const item::Protocol* card) { return card->macro == name; });
}

}  // namespace

Selection select_dissectors(std::span<const std::string> names) {
  const std::span<const ProtocolEntry> all = registry();
  Selection out;
  if (names.empty()) {
    out.protocols.assign(all.begin(), all.end());
    for (const L4Name& l4 : kL4Names) out.l4.*l4.wanted = l4.by_default;
    return out;
  }
  std::vector<bool> wanted(all.size());
  for (std::string name : names) {
    std::replace(name.begin(), name.end(), '-', '_');
    bool known = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (!makes(all[i], name)) continue;
      wanted[i] = known = true;
    }
    for (const L4Name& l4 : kL4Names) {
      if (l4.name != name) continue;
      out.l4.*l4.wanted = known = true;
    }
    for (const auto& [given, with] : kWith) {
      if (name != given) continue;
      for (size_t i = 0; i < all.size(); ++i)
        if (all[i].name == with) wanted[i] = known = true;
    }
    if (!known) out.unknown.push_back(name);
  }
  for (size_t i = 0; i < all.size(); ++i)
    if (wanted[i]) out.protocols.push_back(all[i]);
  return out;
}

void add_what_is_asked(std::string_view filter, Selection& selection) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  while (!filter.empty()) {
    const auto end = std::find_if_not(filter.begin(), filter.end(), is_word);
    const std::string_view word = filter.substr(0, static_cast<size_t>(end - filter.begin()));
    filter.remove_prefix(std::max<size_t>(word.size(), 1));
    L4Items& l4 = selection.l4;
    const bool conn = word == "conn" || word.starts_with("conn_"), flow = word == "flow" || word.starts_with("flow_");
    l4.tcp_conn |= conn || word == "tcp_conn";
    l4.udp_conn |= conn || word == "udp_conn";
    l4.sctp_conn |= conn || word == "sctp_conn";
    l4.tcp_flow |= flow || word == "tcp_flow";
    l4.udp_flow |= flow || word == "udp_flow";
    const bool others = word.ends_with("_conn") || word.ends_with("_flow");
    l4.tcp |= word == "tcp" || (word.starts_with("tcp_") && !others && word != "tcp_metrics");
    l4.udp |= word == "udp" || (word.starts_with("udp_") && !others);
    l4.sctp |= word == "sctp" || (word.starts_with("sctp_") && !others && word != "sctp_metrics");
  }
}

std::vector<std::string_view> dissector_names() {
  std::vector<std::string_view> names;
  for (const ProtocolEntry& entry : registry()) names.push_back(entry.name);
  for (const L4Name& l4 : kL4Names) names.push_back(l4.name);
  return names;
}

}  // namespace baleen::dissect
