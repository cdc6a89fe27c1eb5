#include <fmt/core.h>

#include "store/object_store.h"

namespace baleen::store {
namespace {

std::string_view strip_slashes(std::string_view text) {
  while (!text.empty() && text.front() == '/') text.remove_prefix(1);
  while (!text.empty() && text.back() == '/') text.remove_suffix(1);
  return text;
}

/// Bucket, container and account names: what any of the three services allows, and nothing that could change a URL.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 222) return false;
  for (const char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!good) return false;
  }
  return text.front() != '.' && text.front() != '-';
}

bool has_control(std::string_view text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
  return false;
}

Result<Location> parse_azure(std::string_view url, std::string_view authority, std::string_view rest) {
  constexpr std::string_view kHost = ".blob.core.windows.net";
  if (const size_t at = authority.find('@'); at != std::string_view::npos) {
    const std::string_view container = authority.substr(0, at);
    std::string_view account = authority.substr(at + 1);
    if (account.ends_with(kHost)) account.remove_suffix(kHost.size());
    if (is_name(container) && is_name(account))
      return Location{"azblob", std::string(account) + "/" + std::string(container), std::string(strip_slashes(rest))};
  } else if (authority.ends_with(kHost)) {
    rest = strip_slashes(rest);
    const std::string_view container = rest.substr(0, rest.find('/'));
    const std::string_view account = authority.substr(0, authority.size() - kHost.size());
    if (is_name(container) && is_name(account))
      return Location{"azblob", std::string(account) + "/" + std::string(container),
                      std::string(strip_slashes(rest.substr(container.size())))};
  } else if (is_name(authority)) {
    return Location{"azblob", std::string(authority), std::string(strip_slashes(rest))};
  }
  return Error{Code::kInvalid,
               fmt::format("{}: expected azblob://container/prefix, azblob://container@account/prefix or "
                           "azblob://account.blob.core.windows.net/container/prefix",
                           url)};
}

}  // namespace

Result<Location> Location::parse(std::string_view url) {
  if (url.empty()) return Error{Code::kInvalid, "no location: expected gs://bucket/prefix or a folder"};
  if (url.size() > 4096) return Error{Code::kInvalid, "a location of more than 4096 bytes"};
  if (has_control(url)) return Error{Code::kInvalid, "a location with a control character"};
  const size_t colon = url.find("://");
  if (colon == std::string_view::npos) return Location{"file", "", std::string(url)};

  const std::string_view scheme = url.substr(0, colon);
  const std::string_view after = url.substr(colon + 3);
  if (scheme == "file") {
    std::string_view path = after;
    if (path.starts_with("localhost/")) path.remove_prefix(9);
    if (!path.starts_with('/'))
      return Error{Code::kInvalid, fmt::format("{}: expected file:///folder, with three slashes", url)};
    return Location{"file", "", std::string(path)};
  }
  const size_t slash = std::min(after.find('/'), after.size());
  const std::string_view authority = after.substr(0, slash), rest = after.substr(slash);
  if (scheme == "azblob") return parse_azure(url, authority, rest);
  if (scheme != "gs" && scheme != "s3") {
    const char* hint = scheme == "gcs" ? "; did you mean gs://?" : scheme == "azure" ? "; did you mean azblob://?" : "";
    return Error{Code::kInvalid,
                 fmt::format("{}: unknown scheme \"{}\", expected gs, s3, azblob or file{}", url, scheme, hint)};
  }
  if (!is_name(authority))
    return Error{Code::kInvalid, fmt::format("{}: \"{}\" is not a bucket's name", url, authority)};
  return Location{std::string(scheme), std::string(authority), std::string(strip_slashes(rest))};
}

std::string Location::to_string() const {
  if (scheme == "file") return prefix.starts_with('/') ? "file://" + prefix : prefix;
  std::string out = scheme + "://";
  if (const size_t slash = bucket.find('/'); slash != std::string::npos) {
    out += bucket.substr(slash + 1) + "@" + bucket.substr(0, slash);
  } else {
    out += bucket;
  }
  if (!prefix.empty()) out += "/" + prefix;
  return out;
}

std::string Location::key_prefix() const {
  if (scheme == "file" || prefix.empty()) return {};
  return prefix + "/";
}

}  // namespace baleen::store
