#pragma once

#include <memory>
#include <string_view>

#include "item/item.h"

// Items for tests and benchmarks of this folder, made as a dissector would make them.

namespace baleen::kfl::sample {

inline constexpr item::Field kHttpFields[] = {
    {"request.method", "method", item::FieldType::kString, "HTTP method."},
    {"request.path", "path", item::FieldType::kString, "Path without query."},
    {"response.status", "status_code", item::FieldType::kInt, "HTTP status."},
    {"request.headers", "request.headers", item::FieldType::kMap, "Header fields of the request."},
};
inline constexpr uint16_t kHttpPorts[] = {80, 8080};
inline constexpr item::Protocol kHttp = {.name = "http",
                                         .version = "1.1",
                                         .abbreviation = "HTTP",
                                         .long_name = "Hypertext Transfer Protocol",
                                         .macro = "http",
                                         .layer4 = "tcp",
                                         .ports = kHttpPorts,
                                         .fields = kHttpFields,
                                         .status_path = "response.status"};
inline constexpr item::Field kDnsFields[] = {
    {"response.code", "status_code", item::FieldType::kInt, "Code of the answer."}};
inline constexpr item::Protocol kDns = {.name = "dns",
                                        .version = "0",
                                        .abbreviation = "DNS",
                                        .long_name = "Domain Name System",
                                        .macro = "dns",
                                        .layer4 = "udp",
                                        .fields = kDnsFields};
inline constexpr const item::Protocol* kProtocols[] = {&kHttp, &kDns};
inline constexpr item::Origin kOrigin = {"10.0.0.1:30001", "node-1", "10.0.0.1"};

/// An HTTP call of `status` to `path` from namespace "shop", 1.5 ms long.
inline std::unique_ptr<item::Item> http(int status, std::string_view path = "/api/v1/cart") {
  using item::Member;
  using item::Value;
  auto i = std::make_unique<item::Item>(nullptr);
  Arena& a = i->arena;
  const auto map = [&](std::initializer_list<Member> members, bool fold = false) {
    const auto m = a.array<Member>(members.size());
    std::copy(members.begin(), members.end(), m.begin());
    return Value::map(m, fold);
  };
  i->protocol = &kHttp;
  i->origin = &kOrigin;
  i->stream = 42;
  i->index = 3;
  i->source = item::CaptureSource::kAfPacket;
  i->client.address = {*net::IpAddress::parse("10.1.2.3"), 40000};
  i->server.address = {*net::IpAddress::parse("10.1.2.4"), 80};
  i->client.name = "frontend-1", i->client.name_space = "shop", i->client.by = item::ResolvedBy::kIp,
  i->client.node = "node-1";
  i->server.name = "cart", i->server.name_space = "shop", i->server.by = item::ResolvedBy::kDns;
  const Value labels = map({{"app", "frontend"}, {"tier", "web"}});
  i->client.pod_object = map({{"metadata", map({{"name", "frontend-1"}, {"namespace", "shop"}, {"labels", labels}})}});
  i->request.present = i->response.present = true;
  i->request.time = timestamp_from_ns(1'700'000'000'123'456'789);
  i->response.time = i->request.time + std::chrono::microseconds(1500);
  i->request.size = 300, i->response.size = 1000;
  const auto segments = a.array<Value>(2);
  segments[0] = "api", segments[1] = "v1";
  i->request.payload = map(
      {{"method", "GET"},
       {"url", a.copy(path)},
       {"path", a.copy(path)},
       {"pathSegments", Value::list(segments)},
       {"httpVersion", "HTTP/1.1"},
       {"headers", map({{"Host", "cart"}, {"Accept", "*/*"}, {"User-Agent", "curl/8"}, {"X-User", "a-long-b"}}, true)},
       {"queryString", map({{"id", "7"}})},
       {"bodySize", 0}});
  i->response.payload = map({{"status", status},
                             {"statusText", "OK"},
                             {"headers", map({{"Content-Type", "application/json"}, {"Server", "nginx"}}, true)},
                             {"bodySize", 27},
                             {"content", map({{"text", R"({"total":3,"items":[{"id":1}]})"}, {"size", 27}})}});
  return i;
}

/// A DNS question for `name` with a code in its answer.
inline std::unique_ptr<item::Item> dns(std::string_view name, int code) {
  using item::Member;
  using item::Value;
  auto i = std::make_unique<item::Item>(nullptr);
  Arena& a = i->arena;
  const auto one = [&](std::string_view n, Value v) {
    const auto m = a.array<Member>(1);
    m[0] = {n, v};
    return Value::map(m);
  };
  const auto list = [&](Value v) {
    const auto l = a.array<Value>(1);
    l[0] = v;
    return Value::list(l);
  };
  i->protocol = &kDns;
  i->stream_kind = item::StreamKind::kUdp;
  i->client.address = {*net::IpAddress::parse("10.1.2.3"), 5000};
  i->server.address = {*net::IpAddress::parse("10.0.0.10"), 53};
  i->request.present = i->response.present = true;
  i->request.time = i->response.time = timestamp_from_ns(1'700'000'001'000'000'000);
  i->request.payload = one("questions", list(one("name", a.copy(name))));
  const auto m = a.array<Member>(2);
  m[0] = {"code", code};
  m[1] = {"answers", list(one("ip", "10.9.9.9"))};
  i->response.payload = Value::map(m);
  return i;
}

}  // namespace baleen::kfl::sample
