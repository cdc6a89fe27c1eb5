#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/places.h"
#include "cmd/printing.h"
#include "cmd/redissect_command.h"
#include "index/expire.h"
#include "index/recording_reader.h"
#include "worker/machine.h"
#include "worker/worker.h"

namespace baleen::cmd {
namespace {

using nlohmann::json;

struct RecordingsOptions {
  std::string from, name, search, by, data_dir, older_than;
  std::string output = "table";
  json recording = json::object();  // of create
  bool dry_run = false;
  Access access;
};

// ---- in a bucket ----

void print_facts(const index::RecordingFacts& r, bool whole) {
  if (!whole) {
    fmt::print("{:<24}  {:>7}  {:>12}  {:>12}  {:>10}  {:<24}  {:<24}  {}\n", r.name, r.blocks, r.items, r.packets,
               size_to_string(r.bytes), to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(r.first)),
               to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(r.last)), r.filter);
    return;
  }
  fmt::print(
      "name:      {}\npattern:   {}\nblocks:    {}\nitems:     {}\npackets:   {}\nsize:      {}\nfrom:      {}\nto:    "
      "    {}\n",
      r.name, r.filter, r.blocks, r.items, r.packets, size_to_string(r.bytes), to_rfc3339(r.first), to_rfc3339(r.last));
  fmt::print("protocols:\n");
  for (const auto& [name, n] : r.items_by_protocol) fmt::print("  {:<12} {}\n", name, n);
  const index::LossLedger& l = r.ledger;
  fmt::print(
      "ledger of items ({}):\n  seen {} = stored {} + not matched {} + dropped by a full queue {} + refused by a full "
      "disk {} + refused by a full spool {} + in "
      "flight {}\n",
      l.balances() ? "balances" : "DOES NOT BALANCE", l.items_seen, l.items_stored, l.items_not_matched,
      l.items_dropped_queue, l.items_failed, l.items_refused_spool, l.items_in_flight);
  fmt::print(
      "packets:\n  captured {}, dropped by the kernel {}, stored {}, of matching streams lost {}, cut by the snap "
      "length {}\n",
      l.packets_captured, l.packets_dropped_kernel, l.packets_stored, l.packets_lost_recorder, l.packets_truncated);
  if (l.packets_failed + l.packets_refused_spool + l.packets_refused_recorder != 0)
    fmt::print("  refused by a full disk {}, by a full spool {}, by the flight recorder {}\n", l.packets_failed,
               l.packets_refused_spool, l.packets_refused_recorder);
  if (l.packets_beyond_limit != 0)
    fmt::print("  of matching streams, beyond their recording's limit of bytes: {}\n", l.packets_beyond_limit);
  if (l.streams_in_scope + l.streams_undissected + l.items_looked_back + l.packets_unseen + l.streams_dropped_queue !=
      0)
    fmt::print(
        "streams by scope {}, that no dissector understands {} (not recorded, the queue was full: {}); items found by "
        "looking back {}; packets overwritten before they could be looked at {}\n",
        l.streams_in_scope, l.streams_undissected, l.streams_dropped_queue, l.items_looked_back, l.packets_unseen);
  if (l.items_redacted + l.packets_redacted != 0)
    fmt::print("redacted:\n  items {}, packets {}, of these overwritten whole {}\n", l.items_redacted,
               l.packets_redacted, l.packets_blanked);
  for (const index::DroppedBlocks& d : r.dropped)
    fmt::print("dropped before the upload ({}): {} blocks, {}, {} items, {} packets from {} to {}\n", d.cause, d.blocks,
               size_to_string(d.bytes), d.items, d.packets, to_rfc3339(d.first), to_rfc3339(d.last));
}

int show_bucket(const std::string& from, const std::string& name, const std::string& search, bool json,
                Access& access) {
  auto opened = open_location(from, access);
  if (!opened) {
    fmt::print(stderr, "baleen: {}\n", opened.error().message);
    return exit_code::kFailed;
  }
  index::RecordingReader reader(*opened->store, opened->prefix);
  const auto recordings = reader.recordings();
  if (!recordings) {
    fmt::print(stderr, "baleen: {}\n", recordings.error().message);
    return exit_code::kFailed;
  }
  for (const Error& problem : reader.problems()) fmt::print(stderr, "baleen: left out: {}\n", problem.message);
  if (recordings->empty())
    if (const auto near = check_no_recordings_near(from, *opened->store, opened->prefix); !near)
      return failed(near.error());
  if (name.empty() && !json)
    fmt::print("{:<24}  {:>7}  {:>12}  {:>12}  {:>10}  {:<24}  {:<24}  {}\n", "NAME", "BLOCKS", "ITEMS", "PACKETS",
               "SIZE", "FROM", "TO", "PATTERN");
  bool found = false;
  for (const index::RecordingFacts& r : *recordings) {
    if (!name.empty() && r.name != name) continue;
    if (r.name.find(search) == std::string::npos && r.filter.find(search) == std::string::npos) continue;
    found = true;
    if (json) {
      fmt::print("{}\n", nlohmann::json{{"name", r.name},
                                        {"pattern", r.filter},
                                        {"blocks", r.blocks},
                                        {"items", r.items},
                                        {"packets", r.packets},
                                        {"bytes", r.bytes},
                                        {"first_time", to_rfc3339(r.first)},
                                        {"last_time", to_rfc3339(r.last)},
                                        {"items_by_protocol", r.items_by_protocol},
                                        {"ledger_balances", r.ledger.balances()}}
                             .dump());
    } else {
      print_facts(r, !name.empty());
    }
  }
  if (found || name.empty()) return reader.problems().empty() ? exit_code::kOk : exit_code::kIncomplete;
  fmt::print(stderr, "baleen: no recording '{}' in {}; 'baleen recordings list --from {}' lists them\n", name, from,
             from);
  return exit_code::kFailed;
}

/// Not a failure: all of it may have expired.
void note_absent(const OpenedStore& opened, const std::string& from, const std::string& name) {
  if (name.empty()) return;
  if (const auto known = find_recording(*opened.store, opened.prefix, from, name); !known)
    fmt::print(stderr, "baleen: {}\n", known.error().message);
}

int expire_bucket(RecordingsOptions& o) {
  const auto age = parse_duration(o.older_than);
  if (!age || *age <= Duration{0}) return failed({Code::kInvalid, "--older-than: expected an age, as 30d"});
  auto opened = open_location(o.from, o.access);
  if (!opened) return failed(opened.error());
  note_absent(*opened, o.from, o.name);
  index::ExpireOptions options;
  options.recording = o.name;
  options.before = now() - *age;
  options.dry_run = o.dry_run;
  const index::Expired done = index::expire(*opened->store, opened->prefix, options);
  for (const Error& problem : done.problems) fmt::print(stderr, "baleen: {}\n", problem.message);
  if (o.output == "ndjson") {
    fmt::print("{}\n", json{{"blocks", done.blocks},
                            {"bytes", done.bytes},
                            {"items", done.items},
                            {"packets", done.packets},
                            {"left_over_objects", done.left_over_objects},
                            {"kept_blocks", done.kept_blocks},
                            {"dry_run", o.dry_run}}
                           .dump());
  } else {
    fmt::print(
        "{} {} blocks ({}; {} items, {} packets) and {} objects that had lost their block's record; {} blocks stay\n",
        o.dry_run ? "would remove" : "removed", done.blocks, size_to_string(done.bytes), done.items, done.packets,
        done.left_over_objects, done.kept_blocks);
  }
  return done.problems.empty() ? exit_code::kOk : exit_code::kIncomplete;
}

// ---- of a worker ----

/// Asks the worker of the data folder; when none runs, the state that it will start with is read, and changed.
Result<json> ask(RecordingsOptions& o, const json& request) {
  BALEEN_TRY(worker::Config config, o.access.config());
  if (!o.data_dir.empty()) config.data_dir = o.data_dir;
  const std::string folder = worker::data_folder_of(config.data_dir);
  const std::string text = request.dump(-1, ' ', false, json::error_handler_t::replace);
  auto answer = worker::ask_worker(folder + "/run", text);
  if (!answer && answer.error().code == Code::kNotFound) {
    std::error_code failed_to_make;
    std::filesystem::create_directories(folder, failed_to_make);
    auto recordings = record::Recordings::open(worker::recordings_options(config, folder, {}));
    if (!recordings && recordings.error().code == Code::kConflict)
      return Error{Code::kUnavailable,
                   fmt::format("the worker of {} takes no commands: it keeps no packets, because nothing is recorded; "
                               "start it with --set recordingControl=true",
                               folder)};
    if (!recordings) return std::move(recordings).error();
    const std::string& command = request.at("command").get_ref<const std::string&>();
    if (command != "list" && command != "show")
      fmt::print(stderr, "baleen: no worker runs in {}: this is for its next start\n", folder);
    answer = worker::Control(**recordings, {}).answer(text);
  }
  if (!answer) return std::move(answer).error();
  json j = json::parse(*answer, nullptr, false);
  if (!j.is_object()) return Error{Code::kInternal, "the worker's answer is not JSON"};
  if (const std::string note = j.value("note", ""); !note.empty()) fmt::print(stderr, "baleen: {}\n", note);
  if (j.value("ok", false)) return std::move(j["result"]);
  const std::string code = j["error"].value("code", "");
  return Error{code == to_string(Code::kInvalid) ? Code::kInvalid : Code::kIo, j["error"].value("message", "failed")};
}

std::string text_of(const json& j, const char* name) {
  const auto found = j.find(name);
  return found == j.end() || found->is_null() ? "-" : found->is_string() ? found->get<std::string>() : found->dump();
}

void print_row(const json& r) {
  const json& s = r.at("state");
  fmt::print("{:<24}  {:<9}  {:>5}  {:>12}  {:>12}  {:>10}  {:<24}  {}\n", r.value("name", ""), s.value("phase", ""),
             s.value("iterations_done", 0), s.value("items", uint64_t{0}), s.value("packets", uint64_t{0}),
             size_to_string(s.value("bytes", uint64_t{0})), text_of(s, "next_change"), r.value("pattern", ""));
}

void print_uploads(const json& uploads) {
  const json& node = uploads.at("node");
  fmt::print("uploads:      {} blocks wait ({}), the oldest for {:.0f} s\n",
             uploads.value("waiting_blocks", uint64_t{0}), size_to_string(uploads.value("waiting_bytes", uint64_t{0})),
             uploads.value("oldest_age_seconds", 0.0));
  fmt::print("  since the worker's start {} uploaded ({}), {} failed tries; {} under way, {} of them sent\n",
             uploads.value("uploaded_blocks", uint64_t{0}),
             size_to_string(uploads.value("uploaded_bytes", uint64_t{0})), uploads.value("failed_tries", uint64_t{0}),
             uploads.value("uploading_blocks", uint64_t{0}), size_to_string(uploads.value("sent_bytes", uint64_t{0})));
  if (const std::string error = uploads.value("last_error", ""); !error.empty())
    fmt::print("  last error:  {}\n", error);
  fmt::print("  of the node: {} uploaded ({}, {}/s), {} wait ({} of {}), {} failed tries, {} refused, {} dropped\n",
             node.value("uploaded_blocks", uint64_t{0}), size_to_string(node.value("uploaded_bytes", uint64_t{0})),
             size_to_string(static_cast<uint64_t>(node.value("bytes_per_second", 0.0))),
             node.value("waiting_blocks", uint64_t{0}), size_to_string(node.value("waiting_bytes", uint64_t{0})),
             size_to_string(node.value("limit_bytes", uint64_t{0})), node.value("failed_tries", uint64_t{0}),
             node.value("refused_blocks", uint64_t{0}), node.value("dropped_blocks", uint64_t{0}));
}

void print_whole(const json& r) {
  const json& s = r.at("state");
  for (const char* name :
       {"name", "description", "pattern", "destination", "origin", "start", "duration", "iterations", "timezone",
        "expiration", "limit_bytes", "limit_items", "redact", "look_back", "scope", "undissected"})
    fmt::print("{:<13} {}\n", std::string(name) + ":", text_of(r, name));
  for (const char* name : {"phase", "created", "began", "ended", "next_change", "iterations_done", "iterations_missed",
                           "items", "streams", "packets", "bytes"})
    fmt::print("{:<18} {}\n", std::string(name) + ":", text_of(s, name));
  if (const std::string problem = s.value("problem", ""); !problem.empty()) fmt::print("PROBLEM: {}\n", problem);
  if (r.contains("uploads")) print_uploads(r["uploads"]);
  if (!r.contains("ledger")) return;
  fmt::print("ledger of the node, since its start ({}):\n",
             r["ledger"].value("balances", false) ? "balances" : "DOES NOT BALANCE");
  for (const auto& [name, value] : r["ledger"].items())
    if (name != "balances") fmt::print("  {:<26} {}\n", name, value.dump());
}

int run_command(RecordingsOptions& o, const json& request) {
  const auto answer = ask(o, request);
  if (!answer) return failed(answer.error());
  if (o.output == "ndjson") {
    for (const json& r : answer->is_array() ? *answer : json::array({*answer})) fmt::print("{}\n", r.dump());
    return exit_code::kOk;
  }
  if (answer->is_array()) {
    fmt::print("{:<24}  {:<9}  {:>5}  {:>12}  {:>12}  {:>10}  {:<24}  {}\n", "NAME", "PHASE", "DONE", "ITEMS",
               "PACKETS", "SIZE", "NEXT CHANGE", "PATTERN");
    for (const json& r : *answer) print_row(r);
  } else if (request["command"] == "show") {
    print_whole(*answer);
  } else if (answer->contains("state")) {
    fmt::print("recording '{}' is {}\n", answer->value("name", ""), (*answer)["state"].value("phase", ""));
  } else {
    fmt::print("done\n");
  }
  return exit_code::kOk;
}

/// Options that say where: a bucket, or a worker's data folder.
void add_place(CLI::App& command, RecordingsOptions& o, bool bucket) {
  if (bucket)
    command.add_option("--from", o.from, "a bucket or folder: what is there, without a worker")
        ->option_text("LOCATION");
  command.add_option("--data-dir", o.data_dir, "data folder of the worker (default: as the configuration has it)")
      ->option_text("FOLDER");
  command.add_option("-o,--output", o.output, "table or ndjson")
      ->check(CLI::IsMember({"table", "ndjson"}))
      ->capture_default_str();
  o.access.add_to(command);
}

using Options = std::shared_ptr<RecordingsOptions>;

void add_look(CLI::App& recordings, const Options& o, int& code) {
  CLI::App* list = recordings.add_subcommand("list", "List recordings: of the worker, or in a bucket")->alias("ls");
  add_place(*list, *o, true);
  CLI::App* search =
      recordings.add_subcommand("search", "List those whose name, description, pattern or destination has a text");
  search->add_option("TEXT", o->search)->required();
  add_place(*search, *o, true);
  for (CLI::App* command : {list, search})
    command->callback([o, &code] {
      code = o->from.empty() ? run_command(*o, {{"command", "list"}, {"search", o->search}})
                             : show_bucket(o->from, {}, o->search, o->output == "ndjson", o->access);
    });
  CLI::App* show = recordings.add_subcommand("show", "Describe one: its state, size, uploads, loss ledger");
  show->add_option("NAME", o->name, "name of the recording")->required();
  add_place(*show, *o, true);
  show->callback([o, &code] {
    code = o->from.empty() ? run_command(*o, {{"command", "show"}, {"name", o->name}})
                           : show_bucket(o->from, o->name, {}, o->output == "ndjson", o->access);
  });
}

void add_create(CLI::App& recordings, const Options& o, int& code) {
  CLI::App* create = recordings.add_subcommand("create", "Begin a recording, now or later");
  const auto member = [&](const char* flag, const char* name, const char* what, const char* form) {
    return create
        ->add_option_function<std::string>(
            flag, [o, name](const std::string& value) { o->recording[name] = value; }, what)
        ->option_text(form);
  };
  member("NAME", "name", "its name, and its folder's", "")->required();
  member("--kfl,-f", "pattern", "KFL of the items whose streams are recorded; empty: all", "KFL");
  member("--to", "destination", "where to: gs://bucket/prefix, or a folder", "LOCATION")->required();
  member("--description", "description", "what it is for", "TEXT");
  member("--start", "start", "when it begins, as 2026-11-24T12:00:00Z, or in how long, as 10m (default: now)", "TIME");
  member("--duration", "duration", "how long, as 30m (default: until it is stopped)", "TIME");
  create
      ->add_option_function<uint64_t>(
          "--iterations", [o](uint64_t n) { o->recording["iterations"] = n; },
          "on how many days; 0: every day (default: 1)")
      ->option_text("N");
  member("--timezone", "timezone", "whose time of the day counts for daily iterations (default: UTC)", "ZONE");
  member("--expiration", "expiration", "age at which 'recordings expire' may remove its blocks, as 30d", "AGE");
  member("--limit-bytes", "limit_bytes", "end after this size of packets, as 5Gi", "SIZE");
  member("--limit-items", "limit_items", "end after so many items", "N");
  member("--look-back", "look_back", "record what was captured so long before, too, as far as it is kept, as 5m",
         "TIME");
  member("--scope", "scope", "record every stream with a packet that this pcap-filter lets through, whatever is in it",
         "EXPRESSION");
  create->add_flag_callback(
      "--undissected", [o] { o->recording["undissected"] = true; }, "record streams that no dissector understands");
  create->add_flag_callback(
      "--redact-secrets", [o] { o->recording["redact"]["secrets"] = true; },
      "keep no passwords, cookies, tokens and the like: what protocols mark as secret");
  const auto rules = [&](const char* flag, const char* name, const char* what, const char* form) {
    create
        ->add_option_function<std::vector<std::string>>(
            flag, [o, name](const std::vector<std::string>& values) { o->recording["redact"][name] = values; }, what)
        ->option_text(form);
  };
  rules("--redact-header", "headers", "keep no values of that header", "NAME ...");
  rules("--redact-json", "json", "keep nothing at that path of an item, as request.body.user.password", "PATH ...");
  rules("--redact-pattern", "patterns", "keep nothing that matches (of one with a group: the group)", "RE2 ...");
  add_place(*create, *o, false);
  create->callback([o, &code] {
    // The worker runs somewhere else: a folder is the one that is meant here.
    const std::string to = o->recording["destination"];
    if (to.find("://") == std::string::npos)
      o->recording["destination"] = std::filesystem::absolute(to).lexically_normal().string();
    code = run_command(*o, {{"command", "create"}, {"recording", o->recording}});
  });
}

void add_changes(CLI::App& recordings, const Options& o, int& code) {
  struct Change {
    const char *name, *what;
  };
  for (const auto& [name, what] :
       {Change{"pause", "Record nothing until 'resume'; its end stays where it is"},
        Change{"resume", "Go on after a pause or a stop"}, Change{"stop", "End it; what was recorded is uploaded"},
        Change{"extend", "Let it run longer"},
        Change{"delete", "End it and forget it; what was recorded stays in the bucket"}}) {
    CLI::App* command = recordings.add_subcommand(name, what);
    command->add_option("NAME", o->name, "name of the recording")->required();
    if (std::string_view(name) == "extend")
      command->add_option("--by", o->by, "how much longer, as 30m")->required()->option_text("TIME");
    add_place(*command, *o, false);
    command->callback([o, &code, n = std::string(name)] {
      json request = {{"command", n}, {"name", o->name}};
      if (n == "extend") request["by"] = o->by;
      code = run_command(*o, request);
    });
  }
}

/// The worker knows how old blocks may become, or the command line says it.
int run_expire(RecordingsOptions& o) {
  if (o.from.empty() || o.older_than.empty()) {
    if (o.name.empty())
      return failed({Code::kInvalid, "give --from and --older-than, or the NAME of a worker's recording"});
    const auto shown = ask(o, {{"command", "show"}, {"name", o.name}});
    if (!shown) return failed(shown.error());
    if (o.from.empty()) o.from = shown->value("destination", "");
    if (o.older_than.empty()) o.older_than = shown->value("expiration", "0s");
    if (o.older_than == "0s")
      return failed({Code::kInvalid, fmt::format("recording '{}' never expires; say --older-than", o.name)});
  }
  return expire_bucket(o);
}

int run_compact(const std::string& from, const std::string& name, Access& access) {
  auto opened = open_location(from, access);
  if (!opened) {
    fmt::print(stderr, "baleen: {}\n", opened.error().message);
    return exit_code::kFailed;
  }
  note_absent(*opened, from, name);
  const auto outcome = index::compact(*opened->store, opened->prefix, name);
  if (!outcome) {
    fmt::print(stderr, "baleen: {}\n", outcome.error().message);
    return exit_code::kFailed;
  }
  fmt::print("{} block records of {} days: {} index objects written, {} replaced\n", outcome->records, outcome->days,
             outcome->written, outcome->removed);
  return exit_code::kOk;
}

}  // namespace

void add_recordings_command(CLI::App& app, int& code) {
  const auto o = std::make_shared<RecordingsOptions>();
  CLI::App* recordings = app.add_subcommand("recordings", "List, describe and control recordings");
  recordings->footer(
      "Without --from, it speaks to the worker of this machine (a running `baleen tap`), or reads and changes what the "
      "next one\nwill start with. With --from, it looks into a bucket or folder.\n\nExamples:\n"
      "  baleen recordings create errors --kfl 'http and response.status >= 500' --to gs://bucket/prefix --duration "
      "2h\n"
      "  baleen recordings show errors\n  baleen recordings list --from gs://bucket/prefix\n"
      "  baleen recordings expire errors --from gs://bucket/prefix --older-than 30d --dry-run");
  recordings->require_subcommand(1);
  add_look(*recordings, o, code);
  add_create(*recordings, o, code);
  add_changes(*recordings, o, code);
  CLI::App* compact =
      recordings->add_subcommand("compact", "Index the blocks of one in a bucket, so that queries need few requests");
  compact->footer(
      "Writes one index object for each day beside the blocks, which are only read. Queries use it for the blocks it "
      "has, and fetch\nthe records of the others. Run it again at any time; it replaces what is out of date.");
  add_place(*compact, *o, true);
  compact->add_option("NAME", o->name, "name of the recording")->required();
  compact->callback([o, &code] { code = run_compact(o->from, o->name, o->access); });
  add_redissect(*recordings, code);
  CLI::App* expire = recordings->add_subcommand("expire", "Remove blocks from a bucket that are older than an age");
  expire->add_option("NAME", o->name,
                     "only this recording; its own expiration and destination are taken when they are not given");
  expire->add_option("--older-than", o->older_than, "age of a block's last item or packet, as 30d")->option_text("AGE");
  expire->add_flag("--dry-run", o->dry_run, "only say what would be removed");
  add_place(*expire, *o, true);
  expire->callback([o, &code] { code = run_expire(*o); });
}

}  // namespace baleen::cmd
