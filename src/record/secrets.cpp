#include "record/secrets.h"

#include <string.h>

#include <algorithm>

#include "base/arena.h"
#include "codec/base64.h"

namespace baleen::record {
namespace {

constexpr size_t kShort = 4;          // below this a secret is only looked for where it stands alone
constexpr size_t kLeastInBase64 = 6;  // below this its base64 core is too short to mean anything

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void append_utf8(uint32_t c, Reading& out, uint32_t at) {
  const auto add = [&](uint32_t byte) {
    out.text += static_cast<char>(byte);
    out.at.push_back(at);
  };
  if (c < 0x80) {
    add(c);
  } else if (c < 0x800) {
    add(0xC0 | c >> 6);
    add(0x80 | (c & 0x3F));
  } else {
    add(0xE0 | c >> 12);
    add(0x80 | (c >> 6 & 0x3F));
    add(0x80 | (c & 0x3F));
  }
}

/// What bytes look like in base64, for each place modulo three at which they may begin, without the characters that
/// depend on their neighbours.
void add_base64(const Secret& secret, std::vector<Secret>& out) {
  Arena arena;
  for (size_t shift = 0; shift < 3; ++shift) {
    const std::string padded = std::string(shift, '\0') + secret.text;
    std::string_view text = codec::to_base64(as_bytes(padded), arena);
    const size_t first = (shift * 8 + 5) / 6, whole = padded.size() * 8 / 6;
    if (whole <= first + kShort) continue;
    Secret s = secret;
    s.verbatim = false;
    s.text = std::string(text.substr(first, whole - first));
    out.push_back(s);
    std::string other = s.text;
    std::replace(other.begin(), other.end(), '+', '-');
    std::replace(other.begin(), other.end(), '/', '_');
    if (other == s.text) continue;
    s.text = other;
    out.push_back(s);
  }
}

}  // namespace

Reading percent_decoded(std::string_view text) {
  Reading out;
  if (text.find('%') == std::string_view::npos && text.find('+') == std::string_view::npos) return out;
  out.text.reserve(text.size());
  out.at.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    out.at.push_back(static_cast<uint32_t>(i));
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out.text += static_cast<char>(high << 4 | low);
      i += 2;
    } else {
      out.text += text[i] == '+' ? ' ' : text[i];
    }
  }
  out.at.push_back(static_cast<uint32_t>(text.size()));
  return out;
}

Reading unescaped(std::string_view text) {
  Reading out;
  if (text.find('\\') == std::string_view::npos) return out;
  out.text.reserve(text.size());
  out.at.reserve(text.size() + 1);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto at = static_cast<uint32_t>(i);
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.text += text[i];
      out.at.push_back(at);
      continue;
    }
    const char c = text[++i];
    if (c == 'u' && i + 4 < text.size()) {
      uint32_t code = 0;
      bool ok = true;
      for (size_t k = 1; k <= 4; ++k) {
        const int digit = hex_digit(text[i + k]);
        ok = ok && digit >= 0;
        code = code << 4 | static_cast<uint32_t>(digit & 15);
      }
      if (ok) {
        append_utf8(code, out, at);
        i += 4;
        continue;
      }
    }
    const size_t known = std::string_view("ntrbf").find(c);
    out.text += known != std::string_view::npos ? "\n\t\r\b\f"[known] : c;
    out.at.push_back(at);
  }
  out.at.push_back(static_cast<uint32_t>(text.size()));
  return out;
}

void merge(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin != b.begin ? a.begin < b.begin : a.end > b.end; });
  size_t kept = 0;
  for (const Range& r : ranges) {
    if (kept != 0 && r.begin < ranges[kept - 1].end) {
      ranges[kept - 1].end = std::max(ranges[kept - 1].end, r.end);
    } else {
      ranges[kept++] = r;
    }
  }
  ranges.resize(kept);
}

SecretFinder::SecretFinder(const std::vector<Secret>& secrets) : secrets_(secrets) {
  for (const Secret& s : secrets)
    if (s.text.size() >= kLeastInBase64) add_base64(s, encoded_);
}

void SecretFinder::find_in(std::string_view text, const std::vector<uint32_t>* at, std::vector<Range>& out,
                           std::vector<uint8_t>* found) const {
  const auto look_for = [&](const Secret& secret, size_t index) {
    const std::string_view wanted = secret.text;
    if (wanted.empty() || text.size() < wanted.size()) return;
    const char* p = text.data();
    const char* const end = text.data() + text.size();
    while (const void* hit = ::memmem(p, static_cast<size_t>(end - p), wanted.data(), wanted.size())) {
      const auto begin = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
      const size_t behind = begin + wanted.size();
      p = text.data() + begin + 1;
      const bool alone = (begin == 0 || !is_word(text[begin - 1])) && (behind == text.size() || !is_word(text[behind]));
      if (wanted.size() < kShort && !alone) continue;
      if (found != nullptr && index < found->size()) (*found)[index] = 1;
      out.push_back(at == nullptr ? Range{begin, behind, secret.rule}
                                  : Range{(*at)[begin], (*at)[behind], secret.rule});
      p = text.data() + behind;
    }
  };
  for (size_t i = 0; i < secrets_.size(); ++i) look_for(secrets_[i], i);
  for (const Secret& s : encoded_) look_for(s, SIZE_MAX);
}

std::vector<Range> SecretFinder::find(std::string_view text, std::vector<uint8_t>* found) const {
  std::vector<Range> out;
  if (secrets_.empty()) return out;
  find_in(text, nullptr, out, found);
  if (const Reading r = percent_decoded(text); !r.at.empty()) find_in(r.text, &r.at, out, found);
  if (const Reading r = unescaped(text); !r.at.empty()) find_in(r.text, &r.at, out, found);
  merge(out);
  return out;
}

}  // namespace baleen::record
