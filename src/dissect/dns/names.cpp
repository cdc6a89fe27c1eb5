#include <charconv>

#include "dissect/dns/wire.h"

namespace baleen::dissect::dns {

std::string_view type_name(uint16_t type) {
  switch (type) {
    case 1: return "A";
    case 2: return "NS";
    case 3: return "MD";
    case 4: return "MF";
    case 5: return "CNAME";
    case 6: return "SOA";
    case 7: return "MB";
    case 8: return "MG";
    case 9: return "MR";
    case 10: return "NULL";
    case 11: return "WKS";
    case 12: return "PTR";
    case 13: return "HINFO";
    case 14: return "MINFO";
    case 15: return "MX";
    case 16: return "TXT";
    case 17: return "RP";
    case 18: return "AFSDB";
    case 24: return "SIG";
    case 25: return "KEY";
    case 28: return "AAAA";
    case 29: return "LOC";
    case 33: return "SRV";
    case 35: return "NAPTR";
    case 36: return "KX";
    case 37: return "CERT";
    case 39: return "DNAME";
    case 41: return "OPT";
    case 42: return "APL";
    case 43: return "DS";
    case 44: return "SSHFP";
    case 45: return "IPSECKEY";
    case 46: return "RRSIG";
    case 47: return "NSEC";
    case 48: return "DNSKEY";
    case 49: return "DHCID";
    case 50: return "NSEC3";
    case 51: return "NSEC3PARAM";
    case 52: return "TLSA";
    case 53: return "SMIMEA";
    case 55: return "HIP";
    case 59: return "CDS";
    case 60: return "CDNSKEY";
    case 61: return "OPENPGPKEY";
    case 62: return "CSYNC";
    case 63: return "ZONEMD";
    case 64: return "SVCB";
    case 65: return "HTTPS";
    case 99: return "SPF";
    case 108: return "EUI48";
    case 109: return "EUI64";
    case 249: return "TKEY";
    case 250: return "TSIG";
    case 251: return "IXFR";
    case 252: return "AXFR";
    case 253: return "MAILB";
    case 254: return "MAILA";
    case 255: return "ANY";
    case 256: return "URI";
    case 257: return "CAA";
    default: return {};
  }
}

void append_type(uint16_t type, std::string& out) {
  const std::string_view name = type_name(type);
  if (!name.empty()) {
    out += name;
    return;
  }
  char digits[8];
  out += "TYPE";
  out.append(digits, std::to_chars(digits, digits + sizeof digits, type).ptr);
}

std::string_view class_name(uint16_t klass) {
  switch (klass) {
    case 1: return "IN";
    case 2: return "CS";
    case 3: return "CH";
    case 4: return "HS";
    case 254: return "NONE";
    case 255: return "ANY";
    default: return {};
  }
}

std::string_view opcode_name(unsigned opcode) {
  switch (opcode) {
    case 0: return "Query";
    case 1: return "Inverse Query";
    case 2: return "Status";
    case 4: return "Notify";
    case 5: return "Update";
    case 6: return "Stateful";  // RFC 8490
    default: return "Unknown";
  }
}

std::string_view rcode_name(unsigned rcode) {
  switch (rcode) {
    case 0: return "No Error";
    case 1: return "Format Error";
    case 2: return "Server Failure";
    case 3: return "Non-Existent Domain";
    case 4: return "Not Implemented";
    case 5: return "Query Refused";
    case 6: return "Name Exists when it should not";
    case 7: return "RR Set Exists when it should not";
    case 8: return "RR Set that should exist does not";
    case 9: return "Server Not Authoritative for zone";
    case 10: return "Name not contained in zone";
    case 11: return "DSO-TYPE Not Implemented";
    case 16: return "Bad OPT Version";
    case 17: return "Key not recognized";
    case 18: return "Signature out of time window";
    case 19: return "Bad TKEY Mode";
    case 20: return "Duplicate key name";
    case 21: return "Algorithm not supported";
    case 22: return "Bad Truncation";
    case 23: return "Bad/missing Server Cookie";
    default: return "Unknown";
  }
}

std::string_view rcode_mnemonic(unsigned rcode) {
  static constexpr std::string_view kNames[] = {"NOERROR",  "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
                                                "YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE", "DSOTYPENI"};
  static constexpr std::string_view kMore[] = {"BADVERS", "BADKEY", "BADTIME",  "BADMODE",
                                               "BADNAME", "BADALG", "BADTRUNC", "BADCOOKIE"};
  if (rcode < std::size(kNames)) return kNames[rcode];
  if (rcode >= 16 && rcode < 16 + std::size(kMore)) return kMore[rcode - 16];
  return {};
}

std::string_view option_name(uint16_t option) {
  switch (option) {
    case 1: return "LLQ";
    case 2: return "UL";
    case 3: return "NSID";
    case 5: return "DAU";
    case 6: return "DHU";
    case 7: return "N3U";
    case 8: return "ECS";
    case 9: return "EXPIRE";
    case 10: return "COOKIE";
    case 11: return "TCP-KEEPALIVE";
    case 12: return "PADDING";
    case 13: return "CHAIN";
    case 14: return "KEY-TAG";
    case 15: return "EDE";
    case 16: return "CLIENT-TAG";
    case 17: return "SERVER-TAG";
    case 18: return "REPORT-CHANNEL";
    default: return {};
  }
}

}  // namespace baleen::dissect::dns
