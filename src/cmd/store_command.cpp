#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/printing.h"
#include "store/check.h"
#include "store/lifecycle.h"
#include "store/retrying_store.h"

namespace baleen::cmd {
namespace {

struct StoreOptions {
  std::string url;
  bool json = false;
  std::string expire;
  bool dry_run = false;
  Access access;
};

std::string clock_text(const std::optional<std::chrono::seconds>& skew) {
  if (!skew) return "not known: the other side did not say its time";
  const auto off = std::chrono::abs(*skew).count();
  if (off <= 2) return "right";
  return fmt::format("ours is {} s {}{}", off, skew->count() > 0 ? "slow" : "fast",
                     std::chrono::abs(*skew) > store::kTolerableSkew ? ": TOO FAR OFF" : ": near enough");
}

void print_page(const store::CheckReport& report, const store::Location& location) {
  fmt::print("Location   {}\n", report.location);
  if (!report.endpoint.empty()) fmt::print("Endpoint   {}\n", report.endpoint);
  fmt::print("Identity   {}\n", report.identity.empty() ? "none" : report.identity);
  fmt::print("Clock      {}\n\n", clock_text(report.clock_skew));
  for (const store::CheckStep& step : report.steps) {
    fmt::print("  {:<8} {:<42} {:<12} {:>5} ms  {}\n", to_string(step.outcome), step.what,
               step.needed_for.empty() ? "(tidy up)" : step.needed_for, step.took.count(), step.permission);
    if (step.outcome != store::CheckStep::Outcome::kOk) fmt::print("           {}\n", step.message);
  }
  fmt::print("\n");
  for (const std::string& permission : report.missing()) fmt::print("Missing:   {}\n", permission);
  for (const std::string& advice : report.advice(location)) fmt::print("Next:      {}\n", advice);
  fmt::print("{}\n", report.all_ok()   ? "All is well."
                     : report.usable() ? "Recording and reading work."
                                       : "This location cannot be used as it is.");
}

nlohmann::json json_of(const store::CheckReport& report, const store::Location& location) {
  nlohmann::json out{{"location", report.location},     {"endpoint", report.endpoint},
                     {"identity", report.identity},     {"usable", report.usable()},
                     {"missing", report.missing()},     {"advice", report.advice(location)},
                     {"steps", nlohmann::json::array()}};
  if (report.clock_skew) out["clock_skew_s"] = report.clock_skew->count();
  if (!report.left_over.empty()) out["left_over"] = report.left_over;
  for (const store::CheckStep& step : report.steps)
    out["steps"].push_back({{"name", step.name},
                            {"permission", step.permission},
                            {"needed_for", step.needed_for},
                            {"outcome", to_string(step.outcome)},
                            {"message", step.message},
                            {"ms", step.took.count()}});
  return out;
}

int check_location(StoreOptions& options) {
  const auto location = store::Location::parse(options.url);
  if (!location) {
    fmt::print(stderr, "baleen: {}\n", location.error().message);
    return exit_code::kUsage;
  }
  auto opened = options.access.open(*location);
  if (!opened) {
    if (options.json) {
      fmt::print("{}\n",
                 nlohmann::json{{"location", options.url}, {"usable", false}, {"error", opened.error().message}}.dump(
                     2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      fmt::print(stderr, "baleen: {}: {}\n", options.url, opened.error().message);
    }
    return opened.error().code == Code::kInvalid ? exit_code::kUsage : exit_code::kFailed;
  }
  store::RetryPolicy policy;
  policy.attempts = 2;  // somebody is waiting, and a bucket that is away is an answer
  policy.total_time = std::chrono::seconds(20);
  store::RetryingStore store(*std::move(opened), policy);
  const store::CheckReport report = store::check(store, *location);
  if (options.json) {
    fmt::print("{}\n", json_of(report, *location).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print_page(report, *location);
  }
  return report.all_ok() ? exit_code::kOk : report.usable() ? exit_code::kIncomplete : exit_code::kFailed;
}

// ---- lifecycle ----

/// Whole days of "30d"; a part of one counts as one.
Result<uint32_t> days_of(const std::string& text) {
  const auto age = parse_duration(text);
  constexpr auto kDay = std::chrono::hours(24);
  if (!age || *age <= Duration{0} || *age > kDay * 36500)
    return Error{Code::kInvalid, "--expire: expected an age, as 30d"};
  return static_cast<uint32_t>((*age + kDay - Duration{1}) / kDay);
}

struct Rules {
  store::Location location;
  std::unique_ptr<store::ObjectStore> store;
  store::LifecycleKeeper* keeper = nullptr;  // the same
  store::LifecycleText now;
};

Result<Rules> read_rules(StoreOptions& options) {
  Rules rules;
  BALEEN_TRY(rules.location, store::Location::parse(options.url));
  BALEEN_TRY(rules.store, options.access.open(rules.location));
  rules.keeper = dynamic_cast<store::LifecycleKeeper*>(rules.store.get());
  if (rules.keeper == nullptr)
    return Error{
        Code::kInvalid,
        fmt::format("{} has no rules that can be set from here; 'baleen store lifecycle explain {} --expire AGE' "
                    "says what can be done",
                    rules.store->name(), options.url)};
  BALEEN_TRY(rules.now, rules.keeper->lifecycle());
  return rules;
}

int show_lifecycle(StoreOptions& options) {
  const auto rules = read_rules(options);
  if (!rules) return failed(rules.error());
  if (options.json) {
    fmt::print("{}\n", rules->now.text);
    return exit_code::kOk;
  }
  const auto words = store::describe_lifecycle(rules->location.scheme, rules->now.text);
  if (!words) return failed(words.error());
  if (words->empty()) fmt::print("{} has no lifecycle rules: nothing is removed by itself\n", rules->store->name());
  for (const std::string& rule : *words) fmt::print("{}\n", rule);
  return exit_code::kOk;
}

int install_lifecycle(StoreOptions& options) {
  const auto days = days_of(options.expire);
  if (!days) return failed(days.error());
  const auto rules = read_rules(options);
  if (!rules) return failed(rules.error());
  const auto plan = store::plan_lifecycle(rules->location.scheme, rules->now, {rules->location.key_prefix(), *days});
  if (!plan) return failed(plan.error());
  for (const std::string& rule : plan->stay) fmt::print("stays:     {}\n", rule);
  for (const std::string& rule : plan->leave) fmt::print("replaces:  {}\n", rule);
  fmt::print("{} objects below {} are removed when they are {} days old\n",
             options.dry_run ? "would be: " : "rule:      ", options.url, *days);
  if (options.dry_run) {
    fmt::print("{}\n", plan->rules.text);
    return exit_code::kOk;
  }
  if (!plan->changes) {
    fmt::print("nothing changes: that rule is there\n");
    return exit_code::kOk;
  }
  if (const auto done = rules->keeper->set_lifecycle(plan->rules); !done) return failed(done.error());
  fmt::print("installed; 'baleen store lifecycle show {}' lists all rules\n", options.url);
  return exit_code::kOk;
}

int explain_lifecycle(const StoreOptions& options) {
  const auto days = days_of(options.expire);
  if (!days) return failed(days.error());
  const auto location = store::Location::parse(options.url);
  if (!location) return failed(location.error());
  fmt::print("{}", store::explain_lifecycle(*location, *days));
  return exit_code::kOk;
}

void add_lifecycle(CLI::App& store, const std::shared_ptr<StoreOptions>& options, int& code) {
  CLI::App* lifecycle = store.add_subcommand("lifecycle", "Looks after a bucket's own rules for what is old");
  lifecycle->require_subcommand(1);
  const auto add = [&](const char* name, const char* what) {
    CLI::App* command = lifecycle->add_subcommand(name, what);
    command->add_option("url", options->url, "gs://bucket/prefix, s3://... (explain: any location)")->required();
    return command;
  };
  const auto add_expire = [&](CLI::App* command) {
    command->add_option("--expire", options->expire, "age at which objects are removed, as 30d; buckets count in days")
        ->option_text("AGE")
        ->required();
  };
  CLI::App* show = add("show", "List all rules of the bucket");
  show->add_flag("--json,--raw", options->json, "as the bucket writes them (Cloud Storage: JSON, S3: XML)");
  options->access.add_to(*show);
  show->callback([options, &code] { code = show_lifecycle(*options); });
  CLI::App* install = add("install", "Have the bucket remove what lies below the prefix; other rules stay");
  install->footer(
      "The bucket removes single objects: a block's record and its objects may go some hours apart. 'baleen "
      "recordings\n"
      "expire' removes whole blocks, and knows the recording's own expiration.");
  add_expire(install);
  install->add_flag("--dry-run", options->dry_run, "show the rules as they would be, and change nothing");
  options->access.add_to(*install);
  install->callback([options, &code] { code = install_lifecycle(*options); });
  CLI::App* explain = add("explain", "Say how to have such a rule by hand, also where none can be installed");
  add_expire(explain);
  explain->callback([options, &code] { code = explain_lifecycle(*options); });
}

}  // namespace

void add_store_command(CLI::App& app, int& code) {
  CLI::App* store = app.add_subcommand("store", "Looks after buckets");
  store->require_subcommand(1);
  auto options = std::make_shared<StoreOptions>();
  CLI::App* check = store->add_subcommand("check", "Says whether credentials, permissions and clock are right");
  check->footer(
      "Creates one small object with a random name below the prefix and removes it again.\n"
      "Exits with 0 when all works, 3 when recording and reading work but something else does not, 1 when they do "
      "not.");
  check->add_option("url", options->url, "gs://bucket/prefix, s3://..., azblob://... or a folder")->required();
  check->add_flag("--json", options->json, "for programs");
  options->access.add_to(*check);
  check->callback([options, &code] { code = check_location(*options); });
  add_lifecycle(*store, options, code);
}

}  // namespace baleen::cmd
