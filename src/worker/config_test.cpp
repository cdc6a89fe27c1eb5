#include "worker/config.h"

#include <gtest/gtest.h>

namespace baleen::worker {
namespace {

std::string first_problem(std::string_view text, const std::vector<std::string>& sets = {}) {
  const auto loaded = parse_config(text, sets);
  return loaded.problems.empty() ? "" : render(loaded.problems[0], "f.yaml");
}

TEST(Config, takes_the_keys_of_the_seed_as_they_are) {
  const auto loaded = parse_config(R"(
scripting:
  env:
    GCS_BUCKET: "my-bucket"
    GCS_SA_KEY_JSON: '{"type":"service_account"}'
    RECORDING_KFL: "http or dns"
    KINESIS_MIN_BATCH_SIZE: 10
    AS_TEXT: "10"
  source: "/opt/scripts"
  watchScripts: true
)");
  EXPECT_TRUE(loaded.ok());
  EXPECT_TRUE(loaded.problems.empty());
  const ScriptingConfig& s = loaded.config.scripting;
  EXPECT_EQ(s.env.at("RECORDING_KFL"), "\"http or dns\"");
  EXPECT_EQ(s.env.at("GCS_SA_KEY_JSON"), R"("{\"type\":\"service_account\"}")");
  EXPECT_EQ(s.env.at("KINESIS_MIN_BATCH_SIZE"), "10");
  EXPECT_EQ(s.env.at("AS_TEXT"), "\"10\"");
  EXPECT_EQ(s.source, "/opt/scripts");
  EXPECT_TRUE(s.watch);
}

TEST(Config, has_defaults) {
  const Config c = parse_config("").config;
  EXPECT_EQ(c.interfaces, std::vector<std::string>{"any"});
  EXPECT_EQ(c.pcap_ttl, Duration(std::chrono::seconds(10)));
  EXPECT_EQ(c.storage_limit, 10ull << 30);
  EXPECT_TRUE(c.recordings.empty());
}

TEST(Config, names_what_is_wrong_and_what_was_meant) {
  EXPECT_EQ(first_problem("scripting:\n  evn: {}\n"),
            "f.yaml:2:3: error: unknown key 'scripting.evn' (did you mean 'scripting.env'?)");
  EXPECT_EQ(first_problem("watchScripts: true\n"),
            "f.yaml:1:1: error: unknown key 'watchScripts' (did you mean 'scripting.watchScripts'?)");
  EXPECT_EQ(first_problem("tap:\n  storageLimit: lots\n"),
            "f.yaml:2:17: error: tap.storageLimit: expected a size, as 500MB or 5Gi, found 'lots'");
  EXPECT_EQ(first_problem("tap: 5\n"), "f.yaml:1:6: error: 'tap' is a map of keys");
  EXPECT_EQ(first_problem("- a\n"), "f.yaml:1:1: error: a configuration is a map of keys, as in 'tap:'");
  EXPECT_EQ(first_problem("a: [\n").substr(0, 8), "f.yaml:2");
  EXPECT_EQ(first_problem("", {"tap.misc.pcapTLT=5s"}),
            "error: --set: unknown key 'tap.misc.pcapTLT' (did you mean 'tap.misc.pcapTTL'?)");
  EXPECT_EQ(first_problem("", {"nonsense"}), "error: --set nonsense: expected KEY=VALUE, as in tap.storageLimit=5Gi");
  EXPECT_EQ(first_problem("logLevel: warnign\n"),
            "f.yaml:1:11: error: logLevel: expected one of debug, info, warning, error, off, found 'warnign' (did you "
            "mean 'warning'?)");
  EXPECT_EQ(first_problem("tap:\n  storageLimit: 1Gi\n  storageLimit: 2Gi\n"),
            "f.yaml:3:3: error: 'tap.storageLimit' is given twice");
}

TEST(Config, tells_all_problems_at_once) {
  EXPECT_EQ(parse_config("a: 1\nb: 2\ntap:\n  storageLimit: x\n").problems.size(), 3u);
}

TEST(Config, keys_of_the_reference_product_are_known) {
  const auto loaded = parse_config(
      "tap:\n  docker:\n    tag: v52\n  labels:\n    a: b\n  resources:\n    hub:\n      limits:\n        cpu: 1\n");
  EXPECT_TRUE(loaded.ok());
  ASSERT_EQ(loaded.problems.size(), 1u);
  EXPECT_FALSE(loaded.problems[0].fatal);
}

TEST(Config, set_wins_over_the_file_and_appends_to_lists) {
  const auto loaded = parse_config("tap:\n  bpfOverride: port 80\n  interfaces: [lo]\n",
                                   {"tap.bpfOverride=port 53", "tap.interfaces=eth0", "tap.interfaces=eth1",
                                    "scripting.env.A=5", "scripting.env.B=x y"});
  EXPECT_TRUE(loaded.problems.empty());
  EXPECT_EQ(loaded.config.capture_filter, "port 53");
  EXPECT_EQ(loaded.config.interfaces, (std::vector<std::string>{"eth0", "eth1"}));
  EXPECT_EQ(loaded.config.scripting.env.at("A"), "5");
  EXPECT_EQ(loaded.config.scripting.env.at("B"), "\"x y\"");
}

TEST(Config, redaction) {
  const auto c = parse_config(
      "redact: true\n"
      "recording:\n"
      "  pattern: http\n"
      "  to: x\n"
      "  redact: {headers: [X-Tenant], json: [request.body.pin], patterns: ['[0-9]{16}'], kfl: 'redact(\"a\")'}\n");
  ASSERT_TRUE(c.ok());
  EXPECT_TRUE(c.config.redact.secrets);
  ASSERT_EQ(c.config.recordings.size(), 1u);
  EXPECT_EQ(
      c.config.recordings[0].redact,
      (record::RedactionRules{
          .headers = {"X-Tenant"}, .json = {"request.body.pin"}, .patterns = {"[0-9]{16}"}, .kfl = "redact(\"a\")"}));
  EXPECT_FALSE(parse_config("redact: {secret: true}\n").ok());
  EXPECT_FALSE(parse_config("redact: {headers: {a: b}}\n").ok());
  EXPECT_FALSE(parse_config("redact: {secrets: maybe}\n").ok());
  EXPECT_FALSE(parse_config("redact: [a]\n").ok());
}

TEST(Config, encryption) {
  const auto c = parse_config("encryption: {keyFiles: [a, b], items: true}\n");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c.config.encryption_key_files, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(c.config.encrypt_items);
  EXPECT_FALSE(parse_config("encryption: {items: true}\n").ok()) << "with what?";
}

TEST(Config, recordings) {
  const auto one = parse_config("recording:\n  name: shop\n  pattern: http or dns\n  to: gs://b/p\n");
  ASSERT_EQ(one.config.recordings.size(), 1u);
  EXPECT_EQ(one.config.recordings[0], (RecordingConfig{"shop", "http or dns", "gs://b/p", true}));
  EXPECT_TRUE(parse_config("recording:\n  to: gs://b\n").config.recordings.empty()) << "no pattern: off (R-08)";
  EXPECT_FALSE(parse_config("recording:\n  pattern: http\n").ok());
  EXPECT_FALSE(parse_config("recording:\n- {name: a, pattern: http, to: x}\n- {name: a, pattern: dns, to: x}\n").ok());
  EXPECT_FALSE(parse_config("recording: {name: ../x, pattern: http, to: x}\n").ok());
  // Bytes of another encoding end nothing.
  const LoadedConfig latin = parse_config("scripting: {env: {A: \xd4, \xd4: b}}\ntap: {customMacros: {m: \xd4}}\n");
  EXPECT_EQ(latin.config.scripting.env.at("A"), "\"\xef\xbf\xbd\"");
  const LoadedConfig stopped = parse_config("recording: {name: a, pattern: '', to: x}\n");
  EXPECT_TRUE(stopped.ok() && stopped.config.recordings.empty());
  ASSERT_EQ(stopped.problems.size(), 1u);
  EXPECT_NE(stopped.problems[0].message.find("has no pattern"), std::string::npos) << stopped.problems[0].message;
}

TEST(Config, recordings_have_schedules_and_limits) {
  const auto loaded = parse_config(R"(
recording:
- name: nightly
  description: what fails at night
  pattern: http
  to: gs://b/p
  start: 2026-03-01T22:00:00+01:00
  duration: 8h
  iterations: 0
  timezone: Europe/Berlin
  expiration: 30d
  limitBytes: 5Gi
  limitItems: 1000000
spool: {limit: 2Gi, whenFull: refuseNewest}
upload: {parallel: 5, bandwidth: 10Mi, partSize: 8Mi, spread: 1m}
)");
  ASSERT_TRUE(loaded.ok()) << render(loaded.problems[0], "");
  const RecordingConfig& r = loaded.config.recordings.at(0);
  EXPECT_EQ(r.description, "what fails at night");
  EXPECT_EQ(to_rfc3339(*r.start), "2026-03-01T21:00:00Z");
  EXPECT_EQ(r.duration, Duration(std::chrono::hours(8)));
  EXPECT_EQ(r.iterations, 0);
  EXPECT_EQ(r.timezone, "Europe/Berlin");
  EXPECT_EQ(r.expiration, Duration(std::chrono::hours(720)));
  EXPECT_EQ(r.limit_bytes, 5ull << 30);
  EXPECT_EQ(r.limit_items, 1'000'000u);
  EXPECT_EQ(loaded.config.spool_limit, 2ull << 30);
  EXPECT_TRUE(loaded.config.spool_refuses_newest);
  EXPECT_EQ(loaded.config.upload_parallel, 5u);
  EXPECT_EQ(loaded.config.upload_bandwidth, 10ull << 20);
  EXPECT_EQ(loaded.config.upload_part, 8ull << 20);
  EXPECT_EQ(loaded.config.upload_spread, std::chrono::minutes(1));
  const std::string head = "recording: {pattern: http, to: x, ";
  for (const char* wrong : {"start: tomorrow}", "start: 5m}", "duration: long}", "iterations: -1}", "iterations: some}",
                            "limitBytes: much}", "limitItems: -5}", "limitItem: 5}"})
    EXPECT_FALSE(parse_config(head + wrong).ok()) << wrong;
  EXPECT_EQ(first_problem(head + "limitItem: 5}"),
            "f.yaml:1:35: error: unknown key 'recording.limitItem' (did you mean 'limitItems'?)");
  EXPECT_FALSE(parse_config("spool: {limit: 1Mi}").ok());
  EXPECT_FALSE(parse_config("upload: {parallel: 0}").ok());
  EXPECT_FALSE(parse_config("upload: {partSize: 1Mi}").ok());
  EXPECT_TRUE(parse_config("tap: {misc: {bodyCap: 1Gi}}").ok());
  EXPECT_FALSE(parse_config("tap: {misc: {bodyCap: 2Gi}}").ok());
  EXPECT_FALSE(parse_config("spool: {whenFull: dropNewest}").ok());
  EXPECT_TRUE(parse_config(head + "limitItems: 5}\nrecordingDisabled: true").config.recordings.empty());
}

TEST(Config, recordings_beyond_matches) {
  const auto c = parse_config(
      "recording:\n"
      "  - {name: a, scope: tcp port 80, to: x, lookBack: 5m}\n"
      "  - {name: b, undissected: true, to: x}\n"
      "  - {name: c, to: x}\n");
  ASSERT_TRUE(c.ok());
  ASSERT_EQ(c.config.recordings.size(), 2u) << "one that asks for nothing is off";
  EXPECT_EQ(c.config.recordings[0].scope, "tcp port 80");
  EXPECT_EQ(c.config.recordings[0].look_back, std::chrono::minutes(5));
  EXPECT_TRUE(c.config.recordings[1].undissected);
  for (const char* wrong : {"scope: tcp prot 80", "lookBack: soon", "undissected: maybe", "lookback: 5m"})
    EXPECT_FALSE(parse_config(std::string("recording: {pattern: http, to: x, ") + wrong + "}\n").ok()) << wrong;
}

TEST(Config, packets_are_kept_when_they_are_to_be) {
  const auto c = parse_config(
      "tap:\n  capture:\n    dissection: {enabled: false}\n    raw: {enabled: true, storageSize: 1Gi, keep: 10m}\n");
  ASSERT_TRUE(c.ok());
  EXPECT_FALSE(c.config.dissect);
  EXPECT_TRUE(c.config.keep_all);
  EXPECT_EQ(c.config.flight_limit, uint64_t{1} << 30);
  EXPECT_EQ(c.config.keep_for, std::chrono::minutes(10));
  const auto defaults = parse_config("");
  EXPECT_TRUE(defaults.config.dissect);
  EXPECT_FALSE(defaults.config.keep_all);
}

TEST(Config, masks_secrets_when_it_is_shown) {
  const auto loaded = parse_config("scripting:\n  env:\n    GCS_SA_KEY_JSON: hush\n    GCS_BUCKET: b\n");
  EXPECT_EQ(loaded.yaml.find("hush"), std::string::npos);
  EXPECT_NE(loaded.yaml.find("GCS_BUCKET: b"), std::string::npos);
  EXPECT_TRUE(parse_config(loaded.yaml).ok()) << "what is shown can be read again";
}

}  // namespace
}  // namespace baleen::worker
