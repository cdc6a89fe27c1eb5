#include "kfl/compute.h"

#include <array>

#include "kfl/time_cel.h"
#include "kfl/values_cel.h"

namespace baleen::kfl::compute {
namespace {

/// A path that is made once.
#define AT(text)                                 \
  [&]() -> Datum {                               \
    static const Path kPath = Path::names(text); \
    return select_one(kPath, c.record, c.arena); \
  }()

std::string_view text_of(const Datum& d) { return d.is(Kind::kString) ? d.text() : std::string_view(); }

/// A list of texts without empty ones and without repetition.
Datum set_of(Context& c, std::initializer_list<std::string_view> texts) {
  const auto out = c.arena.array<Datum>(texts.size());
  size_t n = 0;
  for (const std::string_view t : texts) {
    bool known = t.empty();
    for (size_t i = 0; i < n && !known; ++i) known = out[i].text() == t;
    if (!known) out[n++] = Datum::text(t);
  }
  return Datum::of(std::span<const Datum>(out.first(n)));
}

/// One member of every element of a list.
Datum column(Context& c, const Datum& list, std::initializer_list<std::string_view> members) {
  if (!list.is(Kind::kItemList)) return Datum::of(std::span<const Datum>());
  const auto out = c.arena.array<Datum>(list.size * members.size());
  size_t n = 0;
  for (size_t i = 0; i < list.size; ++i)
    for (const std::string_view name : members)
      if (const item::Value* v = list.items[i].find(name); v != nullptr && v->is_string() && v->size() != 0)
        out[n++] = Datum::of(*v);
  return Datum::of(std::span<const Datum>(out.first(n)));
}

Datum either(const Datum& a, const Datum& b) { return text_of(a).empty() ? b : a; }

bool local_is_source(Context& c) {
  const std::string_view here = text_of(AT("node.name"));
  return here.empty() || text_of(AT("src.node")) == here || text_of(AT("dst.node")) != here;
}

}  // namespace

Datum time_of(Context& c) {
  int64_t ns;
  if (c.record.item != nullptr) {
    ns = to_ns(c.record.item->time());
  } else {
    const Datum start = AT("startTime");
    if (start.is(Kind::kString))
      if (const Datum t = parse_timestamp(start.text()); !t.is_error()) return t;
    const Datum ms = AT("timestamp");
    ns = ms.is(Kind::kInt) ? ms.integer * 1'000'000 : ms.is(Kind::kDouble) ? static_cast<int64_t>(ms.real * 1e6) : 0;
  }
  const Datum t = make_timestamp(ns);
  return t.is_error() ? Datum::timestamp(0, 0) : t;
}

Datum decrypted(Context& c) {
  if (AT("tls").is_true()) return Datum::of(true);
  return Datum::of(text_of(AT("capture.source")) == "ebpf_tls");
}

Datum has_request(Context& c) {
  const Datum d = AT("request");
  return Datum::of(!d.is(Kind::kNull) && !d.is(Kind::kMissing));
}
Datum has_response(Context& c) {
  const Datum d = AT("response");
  return Datum::of(!d.is(Kind::kNull) && !d.is(Kind::kMissing));
}
Datum total_size(Context& c) {
  const Datum a = AT("requestSize"), b = AT("responseSize");
  return Datum::of((a.is(Kind::kInt) ? a.integer : 0) + (b.is(Kind::kInt) ? b.integer : 0));
}

Datum namespaces(Context& c) {
  return set_of(c, {text_of(AT("src.namespace")), text_of(AT("dst.namespace")),
                    text_of(AT("src.pod.metadata.namespace")), text_of(AT("dst.pod.metadata.namespace")),
                    text_of(AT("src.service.metadata.namespace")), text_of(AT("dst.service.metadata.namespace"))});
}
Datum pods(Context& c) {
  return set_of(c, {text_of(either(AT("src.pod.metadata.name"), AT("src.service.metadata.name"))),
                    text_of(either(AT("dst.pod.metadata.name"), AT("dst.service.metadata.name")))});
}
Datum services(Context& c) {
  return set_of(c, {text_of(AT("src.service.metadata.name")), text_of(AT("dst.service.metadata.name"))});
}
Datum dns_names(Context& c) { return set_of(c, {text_of(dns_name_of(c, true)), text_of(dns_name_of(c, false))}); }

Datum dns_name_of(Context& c, bool source) {
  const std::string_view by = text_of(source ? AT("src.resolutionMechanism") : AT("dst.resolutionMechanism"));
  if (by != "dns") return Datum::text("");
  return Datum::text(text_of(source ? AT("src.name") : AT("dst.name")));
}

Datum of_end(Context& c, bool local, std::string_view what) {
  const bool source = local == local_is_source(c);
  if (what == "node") return Datum::text(text_of(source ? AT("src.node") : AT("dst.node")));
  return Datum::text(text_of(source ? AT("src.processName") : AT("dst.processName")));
}

Datum of_pod(Context& c, bool local, std::string_view what) {
  const bool source = local == local_is_source(c);
  const Datum d = what == "labels" ? (source ? AT("src.pod.metadata.labels") : AT("dst.pod.metadata.labels"))
                                   : (source ? AT("src.pod.metadata.annotations") : AT("dst.pod.metadata.annotations"));
  return d.is_map() ? d : Datum::of(std::span<const Entry>());
}

Datum grpc_method(Context& c) {
  const std::string_view path = text_of(AT("request.path"));
  return Datum::text(path.substr(path.rfind('/') + 1));
}

Datum dns_questions(Context& c) { return column(c, AT("request.questions"), {"name"}); }
Datum dns_types(Context& c) { return column(c, AT("request.questions"), {"type"}); }
Datum dns_answers(Context& c) { return column(c, AT("response.answers"), {"name", "ip", "cname", "ns", "ptr"}); }

}  // namespace baleen::kfl::compute
