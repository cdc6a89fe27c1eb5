#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "store/check.h"
#include "store/retrying_store.h"

namespace baleen::cmd {
namespace {

struct StoreOptions {
  std::string url;
  bool json = false;
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
}

}  // namespace baleen::cmd
