#include "dissect/tls/tls.h"

namespace baleen::dissect::tls {

using item::Field;
using enum item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {443, 8443, 6443};
constexpr Field kFields[] = {
    {"request.sni", "tlsx_sni", kString, "Server name that the client asks for."},
    {"request.alpn", "tlsx_alpn", kString, "Application protocols that the client offers, with commas between."},
    {"request.summary", "tlsx_summary", kString, "The server name, else the highest version that is offered."},
    {"request.info", "tlsx_info", kString, "ClientHello."},
    {"request.version", "tlsx_version", kInt,
     "Highest version that the client offers: 771 is TLS 1.2, 772 is TLS 1.3."},
    {"request.cipherSuites", "tlsx_cipher_suites", kList, "Names of the cipher suites that the client offers."},
    {"response.cipherSuite", "tlsx_cipher_suite", kInt, "Number of the cipher suite that the server chose."},
    {"requestSize", "tls_request_size", kInt, "Bytes of the client's handshake records."},
    {"responseSize", "tls_response_size", kInt, "Bytes of the server's handshake records."},
    {"size", "tls_total_size", kInt, "Bytes of the handshake."},
    {"request.versionName", "", kString, "The highest version in words."},
    {"request.versions", "", kList, "All versions that are offered."},
    {"request.ja3", "", kString, "JA3 fingerprint of the ClientHello."},
    {"request.ja3Text", "", kString, "What JA3 is the MD5 of."},
    {"request.ja4", "", kString, "JA4 fingerprint of the ClientHello."},
    {"request.ja4Raw", "", kString, "JA4 before hashing, lists sorted."},
    {"request.extensions", "", kList, "Names of the extensions, in order."},
    {"request.groups", "", kList, "Key exchange groups that are offered."},
    {"request.sessionId", "", kString, "Session identifier in hexadecimal."},
    {"request.resumption", "", kString, "How the client asks to resume: session id, session ticket or pre-shared key."},
    {"request.earlyData", "", kBool, "Data is sent before the server has answered (0-RTT)."},
    {"request.encryptedClientHello", "", kBool, "The true ClientHello is encrypted in an extension."},
    {"request.sslv2Hello", "", kBool, "The hello has the form of SSL 2.0; it has no extensions and no fingerprints."},
    {"request.grease", "", kBool, "There are GREASE values among the lists (RFC 8701), as browsers send them."},
    {"request.quicVersion", "", kString, "Version of QUIC that the client speaks: 1, 2, draft-29."},
    {"request.connectionId", "", kString, "QUIC's first destination connection identifier, in hexadecimal."},
    {"request.transportParameters", "", kMap,
     "What the client tells of itself in QUIC: maxIdleTimeout, initialMaxData, maxDatagramFrameSize, userAgent, ..."},
    {"request.certificates", "", kList,
     "The client's certificates: subject, issuer, serialNumber, notBefore, notAfter, names."},
    {"request.alert", "", kMap, "The client's alert: level and description; QUIC's have a reason."},
    {"response.info", "", kString,
     "ServerHello; HelloRetryRequest when no other came after it; Alert when nothing else was answered."},
    {"response.status", "", kString, "The version agreed on, or the alert."},
    {"response.version", "", kInt, "The version that the server chose."},
    {"response.cipherSuiteName", "", kString, "Name of the cipher suite."},
    {"response.alpn", "", kString, "The application protocol agreed on; in TLS 1.3 where the secrets are known."},
    {"response.ja3s", "", kString, "JA3S fingerprint of the ServerHello."},
    {"response.extensions", "", kList, "Names of the extensions."},
    {"response.group", "", kString, "Key exchange group of TLS 1.3, or curve of an ECDHE suite."},
    {"request.certificateCompression", "", kString,
     "How the client's certificates were compressed (RFC 8879): zlib, brotli, zstd or another algorithm's number."},
    {"response.certificateCompression", "", kString, "How the server's certificates were compressed."},
    {"response.resumed", "", kBool, "An earlier session goes on: no certificates are sent."},
    {"response.helloVerified", "", kBool, "The server of DTLS asked for a cookie first."},
    {"response.helloRetry", "", kBool, "The server asked for another ClientHello first."},
    {"response.quicVersion", "", kString, "Version of QUIC that the server speaks."},
    {"response.connectionId", "", kString, "The connection identifier that the server chose, in hexadecimal."},
    {"response.retry", "", kBool, "The server of QUIC asked for a token first."},
    {"response.versionNegotiation", "", kList,
     "Versions of QUIC that the server offered instead of the client's first."},
    {"response.clientCertificateRequested", "", kBool, "The server asked for the client's certificate."},
    {"response.certificateStatus", "", kBool, "The server sent a stapled answer about its certificate (OCSP)."},
    {"response.sessionTicket", "", kBool, "The server gave a ticket, before TLS 1.3."},
    {"response.certificates", "", kList,
     "The server's certificates, its own first; in TLS 1.3 where the secrets are known."},
    {"response.security", "", kList, "What is weak about the version or the cipher suite."},
    {"response.alert", "", kMap, "The server's alert: level and description; QUIC's have a reason."},
};

}  // namespace

const item::Protocol Tls::kProtocol = {
    .name = "tls",
    .version = "1.x",
    .abbreviation = "TLS",
    .long_name = "Transport Layer Security",
    .macro = "tlsx",
    .reference = "https://datatracker.ietf.org/doc/html/rfc8446",
    .background = "#6b3fa0",
    .foreground = "#ffffff",
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.info",
    .summary_path = "request.summary",
    .status_path = "response.status",
};

}  // namespace baleen::dissect::tls
