#pragma once

#include "kfl/program.h"

namespace baleen::kfl::compute {

// Variables that are no single place in an item. The local end is the one on the node that captured; where that is
// neither or both, the source.

Datum time_of(Context& c);
Datum decrypted(Context& c);
Datum has_request(Context& c);
Datum has_response(Context& c);
Datum total_size(Context& c);
Datum namespaces(Context& c);
Datum pods(Context& c);
Datum services(Context& c);
Datum dns_names(Context& c);
Datum grpc_method(Context& c);
Datum dns_questions(Context& c);
Datum dns_answers(Context& c);
Datum dns_types(Context& c);
Datum dns_name_of(Context& c, bool source);
Datum of_end(Context& c, bool local, std::string_view what);
Datum of_pod(Context& c, bool local, std::string_view what);

template <bool kSource>
Datum dns_name(Context& c) {
  return dns_name_of(c, kSource);
}
template <bool kLocal>
Datum labels(Context& c) {
  return of_pod(c, kLocal, "labels");
}
template <bool kLocal>
Datum annotations(Context& c) {
  return of_pod(c, kLocal, "annotations");
}
template <bool kLocal>
Datum end_node(Context& c) {
  return of_end(c, kLocal, "node");
}
template <bool kLocal>
Datum end_process(Context& c) {
  return of_end(c, kLocal, "processName");
}

}  // namespace baleen::kfl::compute
