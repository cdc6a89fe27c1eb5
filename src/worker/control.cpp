#include "worker/control.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/suggest.h"
#include "base/units.h"
#include "index/block.h"

namespace baleen::worker {
namespace {

using nlohmann::json;

constexpr std::string_view kCommands[] = {"list", "show", "create", "pause", "resume", "stop", "extend", "delete"};

std::string line_of(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

json failure(const Error& error) {
  return {{"ok", false}, {"error", {{"code", to_string(error.code)}, {"message", error.message}}}};
}

json success(json result) { return {{"ok", true}, {"result", std::move(result)}}; }

json outcome(const Result<record::RecordingStatus>& status) {
  return status ? success(json::parse(record::to_json(*status))) : failure(status.error());
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

std::string uploads_json(const record::Recorder::Status& status, const std::string& recording) {
  const record::SpoolProgress& p = status.spool;
  const auto waiting = status.waiting.find(recording);
  const record::SpoolWaiting own = waiting == status.waiting.end() ? record::SpoolWaiting{} : waiting->second;
  const auto age = [](Timestamp t) { return t == Timestamp{} ? 0.0 : std::max(0.0, seconds(now() - t)); };
  json j;
  j["uploads"] = {
      {"waiting_blocks", own.blocks},
      {"waiting_bytes", own.bytes},
      {"oldest_age_seconds", age(own.oldest)},
      {"uploading_blocks", own.uploading_blocks},
      {"sent_bytes", own.sent_bytes},
      {"uploaded_blocks", own.uploaded_blocks},
      {"uploaded_bytes", own.uploaded_bytes},
      {"failed_tries", own.failed_tries},
      {"last_error", own.last_error},
      {"node",
       {{"waiting_blocks", p.waiting_blocks},
        {"waiting_bytes", p.waiting_bytes},
        {"oldest_age_seconds", age(p.oldest)},
        {"finishing_blocks", status.finishing_blocks},
        {"uploading_blocks", p.uploading_blocks},
        {"sent_bytes", p.sent_bytes},
        {"uploaded_blocks", p.uploaded_blocks},
        {"uploaded_bytes", p.uploaded_bytes},
        {"bytes_per_second",
         p.upload_time > Duration{0} ? static_cast<double>(p.uploaded_bytes) / seconds(p.upload_time) : 0.0},
        {"failed_tries", p.failed_tries},
        {"refused_blocks", p.refused_blocks},
        {"dropped_blocks", p.dropped_blocks},
        {"limit_bytes", p.limit_bytes},
        {"reserved_bytes", p.reserved_bytes},
        {"last_error", p.last_error}}}};
  for (const auto& [name, value] : index::numbers(status.ledger)) j["ledger"][std::string(name)] = value;
  j["ledger"]["balances"] = status.ledger.balances();
  j["write_errors"] = status.write_errors;
  j["last_error"] = status.last_error;
  return line_of(j);
}

/// `make` changes something; what ends with it covers all that came so far, and it is in force when it is answered.
std::string Control::change(bool ends, const std::function<json()>& make) const {
  const bool caught_up = !ends || !hooks_.catch_up || hooks_.catch_up();
  json answer = make();
  if (answer.value("ok", false) && (!caught_up || (hooks_.in_force && !hooks_.in_force())))
    answer["note"] = "the worker is behind with its packets: the change takes effect when it has caught up";
  return line_of(answer);
}

std::string Control::answer(std::string_view request) try {
  const json j = json::parse(request);
  const std::string command = j.at("command").get<std::string>();
  if (command == "list") {
    json list = json::array();
    for (const record::RecordingStatus& s : recordings_.list(j.value("search", "")))
      list.push_back(json::parse(record::to_json(s)));
    return line_of(success(std::move(list)));
  }
  if (command == "create") {
    auto definition = record::definition_from_json(j.at("recording").dump());
    if (!definition) return line_of(failure(definition.error()));
    return change(/*ends=*/false, [&] { return outcome(recordings_.create(*std::move(definition))); });
  }
  if (std::find(std::begin(kCommands), std::end(kCommands), command) == std::end(kCommands)) {
    const std::string near(suggest(command, kCommands));
    return line_of(failure({Code::kInvalid, fmt::format("there is no command '{}'{}", command,
                                                        near.empty() ? "" : "; did you mean '" + near + "'?")}));
  }
  const std::string name = j.at("name").get<std::string>();
  if (command == "pause") return change(/*ends=*/true, [&] { return outcome(recordings_.pause(name)); });
  if (command == "resume") return change(/*ends=*/false, [&] { return outcome(recordings_.resume(name)); });
  if (command == "stop") return change(/*ends=*/true, [&] { return outcome(recordings_.stop(name)); });
  if (command == "extend") {
    const auto by = parse_duration(j.at("by").get<std::string>());
    if (!by) return line_of(failure({Code::kInvalid, "by: expected a duration, as 30m or 2h"}));
    return change(/*ends=*/false, [&] { return outcome(recordings_.extend(name, *by)); });
  }
  if (command == "delete") {
    return change(/*ends=*/true, [&] {
      const auto removed = recordings_.remove(name);
      return removed ? success(json::object()) : failure(removed.error());
    });
  }
  const auto shown = recordings_.show(name);
  json answer = outcome(shown);
  if (shown && hooks_.uploads_of) answer["result"].update(json::parse(hooks_.uploads_of(name)));
  return line_of(answer);
} catch (const json::exception& e) {
  return line_of(failure({Code::kInvalid, fmt::format("not a command: {}", e.what())}));
}

}  // namespace baleen::worker
