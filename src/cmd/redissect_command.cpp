#include "cmd/redissect_command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "cmd/printing.h"
#include "dissect/registry.h"
#include "offline/redissect.h"
#include "record/recordings.h"
#include "record/spool_store.h"
#include "worker/descriptor_files.h"
#include "worker/key_log_file.h"

namespace baleen::cmd {
namespace {

struct RedissectOptions {
  std::string recording, from, to, name, work;
  std::optional<std::string> filter;
  std::vector<std::string> keys, key_logs, descriptors;
  Access access;
};

/// As compile_filter(), without a word: the pattern is an old record's, and what does not compile selects all.
std::optional<kfl::Filter> compile_pattern(const std::string& text) {
  kfl::Options options;
  options.protocols = dissect::cards();
  return kfl::compile(text, options).filter;
}

/// A recording within a worker's data folder would hide what waits there.
Result<> check_target(const std::string& url) {
  BALEEN_TRY(const store::Location location, store::Location::parse(url));
  if (location.scheme != "file" || record::SpoolStore::spool_in(location.prefix).empty()) return {};
  return Error{Code::kInvalid,
               fmt::format("{} is a worker's data folder: say with --to where else the new recording goes", url)};
}

Result<offline::Redissected> redissect(RedissectOptions& o, offline::RedissectOptions& options) {
  BALEEN_TRY_DO(check_target(o.to.empty() ? o.from : o.to));
  BALEEN_TRY(const OpenedStore from, open_location(o.from, o.access));
  options.prefix = options.to_prefix = from.prefix;
  OpenedStore to;
  if (!o.to.empty() && o.to != o.from) {
    BALEEN_TRY(const store::Location location, store::Location::parse(o.to));
    BALEEN_TRY(to.store, o.access.open(location));
    options.to_prefix = location.key_prefix();
    options.copy_packets = true;
  }
  TemporaryFolder work;
  BALEEN_TRY(options.work, work.path());
  auto keys = std::make_shared<index::KeyRing>();
  for (const std::string& file : o.keys) BALEEN_TRY_DO(keys->add_file(file));
  options.keys = std::move(keys);
  dissect::tls::KeyLog key_log;
  for (const std::string& path : o.key_logs) BALEEN_TRY_DO(worker::read_key_log(path, key_log));
  options.key_log = &key_log;
  dissect::grpc::Descriptors descriptors;
  BALEEN_TRY_DO(worker::DescriptorFiles(descriptors).use(o.descriptors));
  options.descriptors = &descriptors;
  Progress progress("redissecting");
  options.on_progress = [&](uint64_t blocks, uint64_t of) {
    progress.update([&] { return fmt::format("{} of {} blocks", blocks, of); });
  };
  return offline::redissect(*from.store, to.store ? *to.store : *from.store, options);
}

int run(RedissectOptions& o) {
  offline::RedissectOptions options;
  options.recording = o.recording;
  options.name = !o.name.empty() ? o.name : o.to.empty() || o.to == o.from ? o.recording + "-redissected" : o.recording;
  if (const auto named = record::check_recording_name(options.name); !named) return failed(named.error());
  options.dissectors = dissect::select_dissectors({});
  options.compile = compile_pattern;
  if (o.filter) {
    options.filter = compile_filter(*o.filter);
    if (!options.filter) return exit_code::kUsage;
    dissect::add_what_is_asked(*o.filter, options.dissectors);
  }
  const auto done = redissect(o, options);
  if (!done) return failed(done.error());
  for (const Error& problem : done->problems) fmt::print(stderr, "baleen: left out: {}\n", problem.message);
  fmt::print("{} blocks, {} packets: {} items, before {}; recording '{}'\n", done->blocks, done->packets, done->items,
             done->old_items, options.name);
  return done->problems.empty() ? exit_code::kOk : exit_code::kIncomplete;
}

}  // namespace

void add_redissect(CLI::App& recordings, int& code) {
  auto o = std::make_shared<RedissectOptions>();
  CLI::App* command = recordings.add_subcommand(
      "redissect", "Dissect the packets of one in a bucket with today's dissectors, into a new one");
  command->footer(
      "Writes new items beside the old ones, which stay as they are: a recording of its own, whose blocks name the old "
      "packets (in another\nplace: have copies of them). Without --kfl it keeps what the recording's own pattern "
      "selects.\n\nExample:\n  baleen recordings redissect shop --from gs://bucket/prefix --name shop-2027 --kfl ''");
  command->add_option("NAME", o->recording, "name of the recording")->required();
  command->add_option("--from", o->from, "where it lies")->required()->option_text("LOCATION");
  command->add_option("--to", o->to, "where the new one goes (default: beside it)")->option_text("LOCATION");
  command->add_option("--name", o->name, "name of the new one (default: NAME-redissected; elsewhere: NAME)")
      ->option_text("NEW");
  command->add_option_function<std::string>(
      "--kfl,-f", [o](const std::string& text) { o->filter = text; },
      "keep the items that match this KFL filter; '' keeps all");
  command->add_option("--decryption-key", o->keys, "a key of what is encrypted (file); several times for several")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--tls-keylog", o->key_logs,
                   "file with TLS secrets (SSLKEYLOGFILE); those of the blocks are used anyway")
      ->option_text("FILE")
      ->allow_extra_args(false);
  command
      ->add_option("--proto-descriptors", o->descriptors,
                   "set of protobuf descriptors (protoc --include_imports --descriptor_set_out) for gRPC")
      ->option_text("FILE")
      ->allow_extra_args(false);
  o->access.add_to(*command);
  command->callback([o, &code] { code = run(*o); });
}

}  // namespace baleen::cmd
