#include "worker/recording_config.h"

#include <fmt/core.h>

#include "dissect/registry.h"

namespace baleen::worker {

Result<kfl::Filter> compile_pattern(const std::string& pattern, const Config& config) {
  kfl::Options options;
  options.protocols = dissect::cards();
  options.macros = config.macros;
  auto compiled = kfl::compile(pattern, options);
  if (!compiled.filter)
    return Error{Code::kInvalid,
                 fmt::format("the pattern does not compile:\n{}", kfl::render(pattern, compiled.diagnostics))};
  return *std::move(compiled.filter);
}

std::vector<record::Definition> definitions_of(const Config& config) {
  std::vector<record::Definition> out;
  for (const RecordingConfig& r : config.recordings) {
    record::Definition d;
    d.name = r.name;
    d.description = r.description;
    d.pattern = r.pattern;
    d.destination = r.to;
    d.schedule = {r.start, r.duration, static_cast<uint32_t>(r.iterations), r.timezone};
    d.expiration = r.expiration;
    d.limit_bytes = r.limit_bytes;
    d.limit_items = r.limit_items;
    d.redact = r.redact;
    d.look_back = r.look_back;
    d.scope = r.scope;
    d.undissected = r.undissected;
    d.origin = r.from_command_line ? record::Definition::Origin::kCommand : record::Definition::Origin::kConfig;
    out.push_back(std::move(d));
  }
  return out;
}

record::Recordings::CompileRedaction redaction_of(const Config& config) {
  return [config](const record::RedactionRules& own) -> Result<std::shared_ptr<const record::Redaction>> {
    const record::RedactionRules all = config.redact + own;
    if (all.empty()) return std::shared_ptr<const record::Redaction>();
    kfl::Options options;
    options.protocols = dissect::cards();
    options.macros = config.macros;
    return record::Redaction::compile(all, options);
  };
}

record::Recordings::Options recordings_options(const Config& config, const std::string& data_folder,
                                               std::function<void(std::vector<record::Recording>)> apply) {
  record::Recordings::Options options;
  options.file = data_folder + "/recordings.json";
  options.compile = [config](const std::string& pattern) { return compile_pattern(pattern, config); };
  options.redaction = redaction_of(config);
  options.apply = std::move(apply);
  return options;
}

}  // namespace baleen::worker
