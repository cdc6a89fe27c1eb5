#include "base/log.h"

#include <atomic>
#include <cstdio>

#include "base/clock.h"

namespace baleen::log {
namespace {

std::atomic<Level> g_level{Level::kWarning};

const char* name(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarning: return "warning";
    case Level::kError: return "error";
    case Level::kOff: break;
  }
  return "";
}

}  // namespace

void set_level(Level level) { g_level.store(level, std::memory_order_relaxed); }

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

bool parse_level(std::string_view text, Level& level) {
  if (text == "warn") text = "warning";
  for (Level candidate : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    if (text == name(candidate)) {
      level = candidate;
      return true;
    }
  }
  if (text != "off") return false;
  level = Level::kOff;
  return true;
}

void write(Level level, std::string_view text) {
  // One write per line, so that lines of several threads do not mix.
  const std::string time = to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(now()));
  const std::string line = fmt::format("{} {} {}\n", time, name(level), text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace baleen::log
