#include "cmd/curl.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "codec/base64.h"

namespace baleen::cmd {
namespace {

using nlohmann::json;

const json& part(const json& j, const char* name) {
  static const json kNothing = json::object();
  const auto found = j.find(name);
  return found == j.end() || found->is_null() ? kNothing : *found;
}

std::string text_of(const json& j, const char* name) {
  const auto found = j.find(name);
  return found == j.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

/// RFC 9110 5.6.2: what methods and names of fields are made of. Nothing else gets near curl as one: a field that
/// begins with '@' would be a file to read.
bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

using Fields = std::vector<std::pair<std::string, std::string>>;

/// The header as it was sent, where the map is no faithful image of it, else the map.
Fields fields_of(const json& request) {
  Fields out;
  std::string head = text_of(request, "rawHead");
  if (head.find(':') != std::string::npos) {
    head.erase(0, std::min(head.find('\n'), head.size() - 1) + 1);  // the request line
    while (!head.empty()) {
      std::string line = head.substr(0, head.find('\n'));
      head.erase(0, line.size() + 1);
      if (line.ends_with('\r')) line.pop_back();
      const size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      const size_t begin = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
      out.emplace_back(line.substr(0, colon), line.substr(begin));
    }
    return out;
  }
  const json& headers = part(request, "headers");
  for (auto h = headers.begin(); h != headers.end(); ++h) {
    if (h->is_string()) out.emplace_back(h.key(), h->get<std::string>());
    if (h->is_array())
      for (const json& value : *h)
        if (value.is_string()) out.emplace_back(h.key(), value.get<std::string>());
  }
  return out;
}

std::string field(const Fields& fields, std::string_view name) {
  for (const auto& [key, value] : fields)
    if (lower(key) == name) return value;
  return {};
}

/// RFC 3986: what may not stand in a URL is escaped; curl would refuse it, or cut there.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    if (b <= 0x20 || b >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\') {
      out += fmt::format("%{:02X}", b);
    } else {
      out += c;
    }
  }
  return out;
}

/// Where it went: an authority, in which nothing can stand that begins another part of a URL.
std::string authority_of(const json& item, const json& request, const Fields& fields) {
  for (const std::string& host : {text_of(part(request, "headers"), ":authority"), field(fields, "host"),
                                  text_of(request, "authority"), text_of(request, "host")})
    if (!host.empty() && host.find_first_of("/?#@\\ \t\r\n") == std::string::npos) return host;
  const json& server = part(item, "dst");
  const std::string ip = text_of(server, "ip");
  return fmt::format("{}:{}", ip.find(':') != std::string::npos ? "[" + ip + "]" : ip, text_of(server, "port"));
}

std::string url_of(const json& item, const json& request, const Fields& fields) {
  std::string target = text_of(request, "url");
  const std::string known = lower(target.substr(0, 8));
  if (known.starts_with("http://") || known.starts_with("https://")) return escaped(target);  // to a proxy
  if (!target.starts_with('/')) target = "/";  // '*' of OPTIONS, and what is no path at all
  return escaped((item.value("tls", false) ? "https://" : "http://") + authority_of(item, request, fields) + target);
}

struct Body {
  std::string bytes;
  bool there = false, cut = false, decoded = false;
};

Body body_of(const json& request, const Fields& fields) {
  Body out;
  const json& post = part(request, "postData");
  if (post.empty()) return out;
  out.there = true;
  out.bytes = text_of(post, "text");
  if (text_of(post, "encoding") == "base64") {
    Arena arena;
    if (const auto bytes = codec::from_base64(out.bytes, arena)) out.bytes = as_text(*bytes);
  }
  const auto size = request.find("bodySize");
  const uint64_t sent = size != request.end() && size->is_number() ? size->get<uint64_t>() : out.bytes.size();
  const std::string coding = field(fields, "content-encoding");
  out.decoded = !coding.empty() && lower(coding) != "identity" && sent != out.bytes.size();
  out.cut = !out.decoded && out.bytes.size() < sent;
  return out;
}

/// Whether a shell's word can hold it, and curl sends it as it is.
bool is_plain(std::string_view bytes) {
  if (bytes.find('\0') != std::string_view::npos) return false;
  return std::all_of(bytes.begin(), bytes.end(), [](char c) {
    const auto b = static_cast<unsigned char>(c);
    return b >= 0x20 || b == '\t' || b == '\n' || b == '\r';
  });
}

}  // namespace

std::string shell_word(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\0') continue;  // no word can hold it
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::optional<std::string> curl_command(std::string_view item_json) {
  const json item = json::parse(item_json, nullptr, false);
  if (!item.is_object()) return std::nullopt;
  const json& request = part(item, "request");
  const std::string method = text_of(request, "method"), protocol = text_of(part(item, "protocol"), "name");
  if (!protocol.starts_with("http") || !is_token(method) || method == "CONNECT") return std::nullopt;
  const Fields fields = fields_of(request);
  const Body body = body_of(request, fields);

  // --globoff: brackets in a URL are no pattern. --path-as-is: dots in a path stay. --disable: no ~/.curlrc.
  std::string command = "curl --disable --globoff --path-as-is";
  const std::string version = text_of(request, "httpVersion");
  if (version == "HTTP/2" || version == "HTTP/2.0") {
    command += item.value("tls", false) ? " --http2" : " --http2-prior-knowledge";
  } else if (version == "HTTP/1.0") {
    command += " --http1.0";
  }
  if (method == "HEAD") {
    command += " --head";
  } else if (method != (body.there ? "POST" : "GET")) {
    command += " --request " + shell_word(method);
  }
  const bool url_names_host = url_of(item, request, fields).find(field(fields, "host")) != std::string::npos;
  for (const auto& [name, value] : fields) {
    const std::string known = lower(name);
    if (!is_token(name)) continue;
    // What curl says itself of this connection and this body.
    if (known == "content-length" || known == "transfer-encoding" || known == "connection" || known == "expect" ||
        known == "http2-settings" || (known == "upgrade" && version == "HTTP/1.1"))
      continue;
    if (known == "host" && url_names_host) continue;
    if (known == "content-encoding" && body.decoded) continue;
    std::string line = value;
    std::erase_if(line, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
    command += " --header " + shell_word(line.empty() ? name + ";" : name + ": " + line);
  }
  // curl adds these of itself: not when they were not sent.
  for (const char* own : {"user-agent", "accept"})
    if (field(fields, own).empty()) command += fmt::format(" --header '{}:'", own);
  if (body.there && field(fields, "content-type").empty()) command += " --header 'content-type:'";
  std::string before;
  if (body.there && is_plain(body.bytes)) {
    command += " --data-raw " + shell_word(body.bytes);
  } else if (body.there) {
    Arena arena;
    before = "printf %s " + shell_word(codec::to_base64(as_bytes(body.bytes), arena)) + " | base64 -d | ";
    command += " --data-binary @-";
  }
  std::string note;
  if (body.cut) note = fmt::format("# of the body only the first {} bytes were kept\n", body.bytes.size());
  return note + before + command + " " + shell_word(url_of(item, request, fields));
}

}  // namespace baleen::cmd
