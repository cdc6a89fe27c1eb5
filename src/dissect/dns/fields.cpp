#include "dissect/dns/dns.h"

namespace baleen::dissect::dns {
namespace {

using item::Field;
using enum item::FieldType;

constexpr uint16_t kPorts[] = {53}, kMulticastPorts[] = {5353}, kLinkLocalPorts[] = {5355};

constexpr Field kFields[] = {
    {"request", "dns_request", kBool, "Whether there is a query."},
    {"response", "dns_response", kBool, "Whether there is an answer."},
    {"requestSize", "dns_request_length", kInt, "Bytes of the query."},
    {"responseSize", "dns_response_length", kInt, "Bytes of the answer, of all its messages."},
    {"size", "dns_total_size", kInt, "Bytes of query and answer."},
    {"request.opCode", "", kString, "\"Query\", \"Status\", \"Notify\", \"Update\", \"Inverse Query\"."},
    {"request.questions", "", kList, "Questions: name, type and class."},
    {"request.questionNames", "dns_questions", kList, "The names asked for."},
    {"request.questionTypes", "dns_question_types", kList, "The types asked for: \"A\", \"AAAA\"."},
    {"request.id", "", kInt, "The query's number."},
    {"request.flags", "", kMap,
     "authoritative, truncated, recursionDesired, recursionAvailable, authenticData, checkingDisabled."},
    {"request.answers", "", kList, "Records of an update, a notification, or answers known to an mDNS client."},
    {"request.authorities", "", kList, "Records of the authority section of a query, where there are any."},
    {"request.additionals", "", kList, "Records of the additional section of a query, where there are any."},
    {"request.edns", "", kMap, "EDNS of the query: version, udpSize, dnssecOk and options (code, name, value)."},
    {"request.truncated", "", kBool, "Not all of the query was captured."},
    {"response.truncated", "", kBool, "Not all of the answer was captured, or its later fragments did not come."},
    {"response.code", "", kString, "The response code in words: \"No Error\", \"Non-Existent Domain\"."},
    {"response.rcode", "status_code", kInt, "The response code with its EDNS extension: 0, 3."},
    {"response.rcodeName", "", kString, "\"NOERROR\", \"NXDOMAIN\"."},
    {"response.answers", "", kList,
     "Records: name, type, class, ttl, the reference's members by type (ip, ns, cname, ptr, txts, soa, srv, mx, opt, "
     "uri) and data, the "
     "presentation form of any type."},
    {"response.answerData", "dns_answers", kList, "The data of all answers: addresses, names, texts."},
    {"response.authorities", "", kList, "Records of the authority section."},
    {"response.additionals", "", kList, "Records of the additional section."},
    {"response.opCode", "", kString, "As in the query."},
    {"response.questions", "", kList, "The questions as the answer repeats them."},
    {"response.id", "", kInt, "The answer's number."},
    {"response.flags", "", kMap,
     "authoritative, truncated, recursionDesired, recursionAvailable, authenticData, checkingDisabled."},
    {"response.edns", "", kMap, "EDNS of the answer: version, udpSize, dnssecOk and options (code, name, value)."},
};

constexpr item::Protocol card(std::string_view name, std::string_view abbreviation, std::string_view long_name,
                              std::string_view reference, std::string_view version, std::span<const uint16_t> ports) {
  return {.name = name,
          .version = version,
          .abbreviation = abbreviation,
          .long_name = long_name,
          .macro = name,
          .reference = reference,
          .background = "#606060",
          .foreground = "#ffffff",
          .font_size = 12,
          .priority = 4,
          .layer4 = "udp",
          .ports = ports,
          .fields = kFields,
          .method_path = "request.opCode",
          .summary_path = "request.questions[0].name",
          .status_path = "response.rcode"};
}

}  // namespace

const item::Protocol Dns::kProtocol =
    card("dns", "DNS", "Domain Name System", "https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml",
         "0", kPorts);
const item::Protocol Dns::kMulticast =
    card("mdns", "mDNS", "Multicast DNS", "https://datatracker.ietf.org/doc/html/rfc6762", "0", kMulticastPorts);
const item::Protocol Dns::kLinkLocal = card("llmnr", "LLMNR", "Link-Local Multicast Name Resolution",
                                            "https://datatracker.ietf.org/doc/html/rfc4795", "0", kLinkLocalPorts);
const item::Protocol* const Dns::kCards[] = {&kProtocol, &kMulticast, &kLinkLocal};

}  // namespace baleen::dissect::dns
