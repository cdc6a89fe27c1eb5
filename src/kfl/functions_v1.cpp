#include "kfl/functions_v1.h"

namespace baleen::kfl {
namespace {

constexpr HelperCard kCards[] = {
    {"startsWith", Helper::kStartsWith, "field.startsWith(text)", "Whether the field's text begins with `text`."},
    {"endsWith", Helper::kEndsWith, "field.endsWith(text)", "Whether the field's text ends with `text`."},
    {"contains", Helper::kContains, "field.contains(text)", "Whether `text` occurs in the field's text."},
    {"datetime", Helper::kDatetime, "datetime(\"10/19/2021, 6:29:02.000 PM\")",
     "A time, UTC, as milliseconds; the part after the seconds may be left out."},
    {"limit", Helper::kLimit, "limit(n)", "Always true; no more than n items are shown."},
    {"json", Helper::kJson, "field.json().path", "Reads the field's text (or the text in its base64) as JSON."},
    {"xml", Helper::kXml, "field.xml().root.element[1]", "Reads the field's text (or the text in its base64) as XML."},
    {"redact", Helper::kRedact, "redact(\"path\", ...)", "Always true; what the paths name is shown as [REDACTED]."},
    {"record", Helper::kRecord, "record(\"name\")",
     "Whether the item belongs to the recording of that name: one that runs, or that it is read from."},
    {"now", Helper::kNone, "now", "The time when the filter was made, in milliseconds."},
    {"seconds", Helper::kNone, "seconds(-5)", "Now and that many seconds."},
    {"minutes", Helper::kNone, "minutes(-5)", "Now and that many minutes."},
    {"hours", Helper::kNone, "hours(-5)", "Now and that many hours."},
    {"days", Helper::kNone, "days(-5)", "Now and that many days."},
    {"weeks", Helper::kNone, "weeks(-5)", "Now and that many weeks."},
    {"months", Helper::kNone, "months(-5)", "Now and that many times 30 days."},
    {"years", Helper::kNone, "years(-5)", "Now and that many times 365 days."},
};

}  // namespace

std::span<const HelperCard> helper_cards() { return kCards; }

Helper helper_named(std::string_view name) {
  for (const HelperCard& c : kCards)
    if (c.name == name && c.helper != Helper::kNone) return c.helper;
  return Helper::kUnknown;
}

std::vector<std::string_view> helper_names() {
  std::vector<std::string_view> names;
  for (const HelperCard& c : kCards) names.push_back(c.name);
  return names;
}

bool is_time_helper(std::string_view name) {
  for (const HelperCard& c : kCards)
    if (c.name == name) return c.helper == Helper::kNone;
  return false;
}

double unit_seconds(std::string_view name) {
  constexpr double kDay = 86400;
  if (name == "seconds") return 1;
  if (name == "minutes") return 60;
  if (name == "hours") return 3600;
  if (name == "days") return kDay;
  if (name == "weeks") return 7 * kDay;
  if (name == "months") return 30 * kDay;
  if (name == "years") return 365 * kDay;
  return 0;
}

}  // namespace baleen::kfl
