#include "store/lifecycle.h"

#include <fmt/core.h>

#include <algorithm>

#include "io/crypto.h"
#include "store/json.h"
#include "store/xml.h"

// Rules that are not ours are kept as they are written, to the letter: Cloud Storage's as JSON values, S3's as the text
// of their elements. What we do not understand in them is none of our business.

namespace baleen::store {
namespace {

using nlohmann::json;

constexpr uint32_t kIncompleteDays = 7;  // after which S3 forgets uploads by parts that nobody has finished

// ---- Cloud Storage: {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30, "matchesPrefix": ["p/"]}}]}
// ----

Result<json> gcs_rules(std::string_view text) {
  if (text.empty()) return json::array();
  const auto document = parse_json(text);
  if (!document) return Error{Code::kInvalid, "the bucket's lifecycle rules are not JSON"};
  const auto rules = document->find("rule");
  if (rules == document->end()) return json::array();
  if (!rules->is_array()) return Error{Code::kInvalid, "the bucket's lifecycle rules are no list"};
  return *rules;
}

json gcs_rule(const ExpireRule& rule) {
  return {{"action", {{"type", "Delete"}}},
          {"condition", {{"age", rule.days}, {"matchesPrefix", json::array({rule.prefix})}}}};
}

/// A rule that we could have made for that prefix: it removes by age, and asks for nothing else.
bool gcs_is_ours(const json& rule, const std::string& prefix) {
  const json action = rule.value("action", json::object()), condition = rule.value("condition", json::object());
  return action == json{{"type", "Delete"}} && condition.size() == 2 && condition.contains("age") &&
         condition.value("matchesPrefix", json()) == json::array({prefix});
}

std::string gcs_words(const json& rule) {
  return fmt::format("{} when {}", dump_json(rule.value("action", json())), dump_json(rule.value("condition", json())));
}

Result<LifecyclePlan> plan_gcs(const LifecycleText& now, const ExpireRule& rule) {
  BALEEN_TRY(const json rules, gcs_rules(now.text));
  LifecyclePlan plan;
  json all = json::array();
  for (const json& old : rules) {
    const bool ours = old.is_object() && gcs_is_ours(old, rule.prefix);
    (ours ? plan.leave : plan.stay).push_back(old.is_object() ? gcs_words(old) : dump_json(old));
    if (!ours) all.push_back(old);
  }
  const json fresh = gcs_rule(rule);
  plan.changes = plan.leave.size() != 1 || std::find(rules.begin(), rules.end(), fresh) == rules.end();
  all.push_back(fresh);
  plan.rules = {json{{"rule", all}}.dump(2, ' ', false, json::error_handler_t::replace), now.version};
  return plan;
}

// ---- S3: <LifecycleConfiguration><Rule>...</Rule>...</LifecycleConfiguration> ----

struct S3Rule {
  std::string text;  // with its tags
  XmlNode node;
};

/// Rules do not nest, and their tag has neither attributes nor a prefix in what stores answer.
Result<std::vector<S3Rule>> s3_rules(std::string_view text) {
  std::vector<S3Rule> out;
  if (text.empty()) return out;
  BALEEN_TRY(const XmlNode root, parse_xml(text));
  const auto wrong = Error{Code::kInvalid, "the bucket's lifecycle rules are not as S3 writes them"};
  if (root.name != "LifecycleConfiguration") return wrong;
  for (size_t at = 0;;) {
    const size_t begin = text.find("<Rule>", at), end = text.find("</Rule>", at);
    if (begin == std::string_view::npos) break;
    if (end == std::string_view::npos || end < begin) return wrong;
    at = end + 7;
    const std::string_view rule = text.substr(begin, at - begin);
    BALEEN_TRY(XmlNode node, parse_xml(rule));
    out.push_back({std::string(rule), std::move(node)});
  }
  // A comment or a spelling of a tag that we did not find would be lost by what we write back.
  if (out.size() != static_cast<size_t>(std::count_if(root.children.begin(), root.children.end(),
                                                      [](const XmlNode& n) { return n.name == "Rule"; })))
    return wrong;
  return out;
}

/// At most 255 bytes, the same for the same prefix.
std::string s3_id(const std::string& prefix) {
  return "baleen-expire-" + io::to_hex(io::sha256(as_bytes(prefix))).substr(0, 16);
}

std::string s3_rule(const ExpireRule& rule) {
  return fmt::format(
      "<Rule><ID>{}</ID><Filter><Prefix>{}</Prefix></Filter><Status>Enabled</Status><Expiration><Days>{}</Days>"
      "</Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>{}</DaysAfterInitiation>"
      "</AbortIncompleteMultipartUpload></Rule>",
      s3_id(rule.prefix), escape_xml(rule.prefix), rule.days, kIncompleteDays);
}

std::string_view s3_days(const XmlNode& rule) {
  const XmlNode* expiration = rule.child("Expiration");
  return expiration == nullptr ? std::string_view() : expiration->child_text("Days");
}

std::string s3_words(const XmlNode& rule) {
  std::string prefix(rule.child_text("Prefix"));
  if (const XmlNode* filter = rule.child("Filter"); filter != nullptr) {
    prefix = filter->child_text("Prefix");
    if (const XmlNode* all = filter->child("And"); all != nullptr) prefix = all->child_text("Prefix");
  }
  std::string what;
  for (const XmlNode& node : rule.children)
    if (node.name != "ID" && node.name != "Filter" && node.name != "Prefix" && node.name != "Status")
      what += (what.empty() ? "" : ", ") + node.name;
  if (const std::string_view days = s3_days(rule); !days.empty()) what += fmt::format(" (remove after {} days)", days);
  return fmt::format("'{}' for '{}': {}{}", rule.child_text("ID"), prefix, what,
                     rule.child_text("Status") == "Enabled" ? "" : ", not enabled");
}

Result<LifecyclePlan> plan_s3(const LifecycleText& now, const ExpireRule& rule) {
  BALEEN_TRY(const std::vector<S3Rule> rules, s3_rules(now.text));
  LifecyclePlan plan;
  std::string all;
  bool same = false;
  for (const S3Rule& old : rules) {
    const bool ours = old.node.child_text("ID") == s3_id(rule.prefix);
    (ours ? plan.leave : plan.stay).push_back(s3_words(old.node));
    if (!ours) all += old.text;
    same =
        same || (ours && s3_days(old.node) == std::to_string(rule.days) && old.node.child_text("Status") == "Enabled");
  }
  plan.changes = plan.leave.size() != 1 || !same;
  plan.rules = {"<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" + all + s3_rule(rule) +
                    "</LifecycleConfiguration>",
                now.version};
  return plan;
}

}  // namespace

Result<LifecyclePlan> plan_lifecycle(std::string_view scheme, const LifecycleText& now, const ExpireRule& rule) {
  if (rule.prefix.empty())
    return Error{Code::kInvalid, "a rule for the whole bucket would remove what is not ours: name a prefix"};
  if (rule.days == 0) return Error{Code::kInvalid, "buckets count in days: one at least"};
  if (scheme == "gs") return plan_gcs(now, rule);
  if (scheme == "s3") return plan_s3(now, rule);
  return Error{Code::kInvalid, fmt::format("{}:// has no rules that we could install", scheme)};
}

Result<std::vector<std::string>> describe_lifecycle(std::string_view scheme, std::string_view text) {
  std::vector<std::string> out;
  if (scheme == "gs") {
    BALEEN_TRY(const json rules, gcs_rules(text));
    for (const json& rule : rules) out.push_back(rule.is_object() ? gcs_words(rule) : dump_json(rule));
  } else {
    BALEEN_TRY(const std::vector<S3Rule> rules, s3_rules(text));
    for (const S3Rule& rule : rules) out.push_back(s3_words(rule.node));
  }
  return out;
}

std::string explain_lifecycle(const Location& location, uint32_t days) {
  const ExpireRule rule{location.key_prefix(), days};
  if (location.scheme == "gs")
    return fmt::format(
        "A rule of the bucket removes objects below the prefix when they are {} days old. By hand, all rules of the\n"
        "bucket in one file:\n\n{}\n\n  gcloud storage buckets update gs://{} --lifecycle-file=rules.json\n\n"
        "It takes storage.buckets.get and storage.buckets.update (roles/storage.admin has them).\n",
        days, json{{"rule", json::array({gcs_rule(rule)})}}.dump(2), location.bucket);
  if (location.scheme == "s3")
    return fmt::format(
        "A rule of the bucket removes objects below the prefix when they are {} days old, and uploads that nobody has\n"
        "finished after {}. By hand, all rules of the bucket in one file:\n\n{}\n\n  aws s3api "
        "put-bucket-lifecycle-configuration --bucket {} --lifecycle-configuration file://rules.json\n\nIt takes "
        "s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration.\n",
        days, kIncompleteDays,
        json{{"Rules", json::array({{{"ID", s3_id(rule.prefix)},
                                     {"Status", "Enabled"},
                                     {"Filter", {{"Prefix", rule.prefix}}},
                                     {"Expiration", {{"Days", days}}},
                                     {"AbortIncompleteMultipartUpload", {{"DaysAfterInitiation", kIncompleteDays}}}}})}}
            .dump(2),
        location.bucket);
  if (location.scheme == "azblob") {
    const size_t slash = location.bucket.find('/');
    const std::string account = slash == std::string::npos ? "ACCOUNT" : location.bucket.substr(0, slash);
    const std::string container = location.bucket.substr(slash == std::string::npos ? 0 : slash + 1);
    const json policy{
        {"rules",
         json::array({{{"name", "baleen"},
                       {"enabled", true},
                       {"type", "Lifecycle"},
                       {"definition",
                        {{"filters",
                          {{"blobTypes", {"blockBlob"}}, {"prefixMatch", {container + "/" + location.key_prefix()}}}},
                         {"actions", {{"baseBlob", {{"delete", {{"daysAfterModificationGreaterThan", days}}}}}}}}}}})}};
    return fmt::format(
        "Rules belong to the storage account and are set through Azure's management interface, which the keys of a\n"
        "container do not open: by hand, with all rules of the account in one file.\n\n{}\n\n  az storage account "
        "management-policy show --account-name {} --resource-group GROUP\n  az storage account management-policy "
        "create "
        "--account-name {} --resource-group GROUP --policy @policy.json\n",
        policy.dump(2), account, account);
  }
  return fmt::format(
      "A folder removes nothing by itself. Have this run every day (cron, a systemd timer):\n\n  baleen recordings "
      "expire --from {} --older-than {}d\n",
      location.to_string(), days);
}

}  // namespace baleen::store
