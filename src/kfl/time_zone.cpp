#include "kfl/time_zone.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"

// libstdc++ 12 has no time zones, so the system's files are read here: RFC 8536 (TZif), their 64-bit part. Beyond the
// last transition the last rule's offset goes on; the footer's rule for later years is read as "the offsets of 400
// years ago", because zic writes transitions up to 2037 for every zone that still has daylight saving.

namespace baleen::kfl {
namespace {

struct Zone {
  std::vector<int64_t> times;    // when an offset begins
  std::vector<int32_t> offsets;  // which
  int32_t first = 0;             // before all of them

  int64_t at(int64_t t) const {
    const auto next = std::upper_bound(times.begin(), times.end(), t);
    return next == times.begin() ? first : offsets[static_cast<size_t>(next - times.begin()) - 1];
  }
};

struct Header {
  uint32_t utc, standard, leaps, times, types, characters;
};

bool read_header(ByteReader& r, Header& h) {
  if (r.be32() != 0x545A6966) return false;  // "TZif"
  for (int i = 0; i < 16; ++i) r.u8();
  h.utc = r.be32(), h.standard = r.be32(), h.leaps = r.be32(), h.times = r.be32(), h.types = r.be32(),
  h.characters = r.be32();
  return r.ok() && h.times < 10'000 && h.types < 256 && h.types > 0 && h.characters < 10'000 && h.leaps < 1000;
}

std::unique_ptr<Zone> read_zone(std::string_view name) {
  // A name is a path below the database, and must stay there.
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '_' ||
          c == '-' || c == '+'))
      return nullptr;
  if (name.empty() || name[0] == '/' || name.size() > 64) return nullptr;
  std::ifstream in("/usr/share/zoneinfo/" + std::string(name), std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  ByteReader r(as_bytes(std::string_view(content)));
  Header h;
  if (!read_header(r, h)) return nullptr;
  const size_t skip = h.times * 5 + h.types * 6 + h.characters + h.leaps * 8 + h.standard + h.utc;
  for (size_t i = 0; i < skip; ++i) r.u8();
  if (!read_header(r, h)) return nullptr;
  auto zone = std::make_unique<Zone>();
  for (uint32_t i = 0; i < h.times; ++i) {
    const uint64_t high = r.be32();
    zone->times.push_back(static_cast<int64_t>(high << 32 | r.be32()));
  }
  std::vector<uint8_t> which;
  for (uint32_t i = 0; i < h.times; ++i) which.push_back(r.u8());
  std::vector<int32_t> types;
  for (uint32_t i = 0; i < h.types; ++i) {
    types.push_back(static_cast<int32_t>(r.be32()));
    r.u8(), r.u8();
  }
  if (!r.ok()) return nullptr;
  for (const uint8_t w : which) zone->offsets.push_back(types[std::min<size_t>(w, types.size() - 1)]);
  zone->first = types[0];
  return zone;
}

std::optional<int64_t> fixed(std::string_view zone) {
  if (zone == "UTC" || zone == "Z" || zone == "GMT") return 0;
  int sign = 1;
  if (zone.starts_with('+') || zone.starts_with('-')) sign = zone[0] == '-' ? -1 : 1, zone.remove_prefix(1);
  if (zone.size() != 5 || zone[2] != ':') return std::nullopt;
  for (const size_t i : {0, 1, 3, 4})
    if (zone[i] < '0' || zone[i] > '9') return std::nullopt;
  const int hours = (zone[0] - '0') * 10 + zone[1] - '0', minutes = (zone[3] - '0') * 10 + zone[4] - '0';
  if (hours > 23 || minutes > 59) return std::nullopt;
  return sign * (hours * 3600 + minutes * 60);
}

}  // namespace

std::optional<int64_t> zone_offset(std::string_view name, int64_t seconds) {
  if (const auto offset = fixed(name)) return offset;
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Zone>, std::less<>> zones;
  const std::lock_guard lock(mutex);
  auto found = zones.find(name);
  if (found == zones.end()) {
    if (zones.size() >= 1000) return std::nullopt;  // names can come from items
    found = zones.emplace(std::string(name), read_zone(name)).first;
  }
  if (found->second == nullptr) return std::nullopt;
  return found->second->at(seconds);
}

}  // namespace baleen::kfl
