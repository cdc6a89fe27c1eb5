#include "store/s3/signature.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <map>
#include <vector>

#include "io/crypto.h"

namespace baleen::store::s3 {
namespace {

struct UrlParts {
  std::string_view host, path, query;
};

UrlParts split(std::string_view url) {
  UrlParts out;
  url.remove_prefix(std::min(url.size(), url.find("://") + 3));
  const size_t end = std::min(url.find_first_of("/?#"), url.size());
  out.host = url.substr(0, end);
  url.remove_prefix(end);
  url = url.substr(0, url.find('#'));
  const size_t mark = std::min(url.find('?'), url.size());
  out.path = url.substr(0, mark);
  if (out.path.empty()) out.path = "/";
  if (mark < url.size()) out.query = url.substr(mark + 1);
  return out;
}

/// Sorted by name, then by value; a name without a value gets an empty one.
std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    pairs.emplace_back(pair.substr(0, equals), pair.substr(std::min(equals + 1, pair.size())));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const auto& [name, value] : pairs) out += fmt::format("{}{}={}", out.empty() ? "" : "&", name, value);
  return out;
}

/// Without white space at its ends, and with one blank for several.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool space = c == ' ' || c == '\t';
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

/// "20150830T123600Z"
std::string basic_time(Timestamp now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(std::chrono::floor<std::chrono::seconds>(now)));
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

io::Sha256 hmac(Bytes key, std::string_view message) { return io::hmac_sha256(key, as_bytes(message)); }

}  // namespace

std::string canonical_request(const io::HttpRequest& request, std::string_view payload_sha256,
                              std::string* signed_headers) {
  const UrlParts url = split(request.url);
  std::map<std::string, std::string> headers{{"host", std::string(url.host)}};
  for (const auto& [name, value] : request.headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string canonical = canonical_value(value);
    const auto [at, fresh] = headers.emplace(lower, canonical);
    if (!fresh) at->second = lower == "host" ? canonical : at->second + "," + canonical;
  }
  std::string out = fmt::format("{}\n{}\n{}\n", request.method, url.path, canonical_query(url.query));
  signed_headers->clear();
  for (const auto& [name, value] : headers) {
    out += fmt::format("{}:{}\n", name, value);
    *signed_headers += (signed_headers->empty() ? "" : ";") + name;
  }
  return out + fmt::format("\n{}\n{}", *signed_headers, payload_sha256);
}

void sign(io::HttpRequest& request, const Keys& keys, const Scope& scope, std::string_view payload_sha256,
          Timestamp now) {
  const std::string time = basic_time(now), day = time.substr(0, 8);
  request.headers.emplace_back("X-Amz-Date", time);
  if (!keys.session_token.empty()) request.headers.emplace_back("X-Amz-Security-Token", keys.session_token);
  if (scope.service == "s3") request.headers.emplace_back("X-Amz-Content-Sha256", payload_sha256);

  std::string signed_headers;
  const std::string canonical = canonical_request(request, payload_sha256, &signed_headers);
  const std::string where = fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, where, io::to_hex(io::sha256(as_bytes(canonical))));
  io::Sha256 key = hmac(as_bytes("AWS4" + keys.secret_key), day);
  for (const std::string_view step :
       {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")})
    key = hmac(key, step);
  request.headers.emplace_back(
      "Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", keys.access_key,
                                   where, signed_headers, io::to_hex(hmac(key, to_sign))));
}

}  // namespace baleen::store::s3
