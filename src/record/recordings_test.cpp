#include "record/recordings.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class RecordingsTest : public testing::Test {
 protected:
  /// Recordings that a shard's recorder follows.
  std::unique_ptr<Recordings> open_for(Shard& shard) {
    auto given = options();
    given.apply = [&](std::vector<Recording> r) { shard->set_recordings(std::move(r)); };
    auto r = Recordings::open(given);
    EXPECT_TRUE(r);
    return *std::move(r);
  }
  Recordings::Options options() {
    Recordings::Options o;
    o.file = folder_ / "recordings.json";
    o.compile = [](const std::string& pattern) -> Result<kfl::Filter> {
      if (pattern == "broken") return Error{Code::kInvalid, "1:1: error: broken"};
      return filter(pattern);
    };
    o.apply = [this](std::vector<Recording> recordings) {
      running_ = std::move(recordings);
      ++applied_;
    };
    o.clock = [this] { return now_; };
    return o;
  }
  std::unique_ptr<Recordings> open() {
    auto recordings = Recordings::open(options());
    EXPECT_TRUE(recordings) << recordings.error().message;
    return *std::move(recordings);
  }
  Definition definition(std::string name, std::string pattern = "http") const {
    Definition d;
    d.name = std::move(name);
    d.pattern = std::move(pattern);
    d.destination = "file://" + (folder_ / "bucket");
    return d;
  }
  void pass(Recordings& recordings, Duration d) {
    for (; d > Duration{0}; d -= seconds(1)) {
      now_.wall += seconds(1);
      now_.steady += seconds(1);
      recordings.tick();
    }
  }
  std::string running() const {
    std::string names;
    for (const Recording& r : running_) names += (names.empty() ? "" : " ") + r.name;
    return names;
  }
  void restart(std::unique_ptr<Recordings>& recordings) {
    recordings.reset();
    running_.clear();
    now_.steady = seconds(9);
    recordings = open();
    recordings->tick();
  }
  ScratchFolder folder_;
  Instant now_{*parse_time("2026-03-01T00:00:00Z", Timestamp{}), hours(1)};
  std::vector<Recording> running_;
  int applied_ = 0;
};

TEST_F(RecordingsTest, RunWhenTheyAreToRun) {
  auto r = open();
  Definition later = definition("later");
  later.schedule = {now_.wall + minutes(5), minutes(2), 2, ""};
  Definition brief = definition("brief");
  brief.schedule.duration = minutes(3);
  ASSERT_TRUE(r->create(later));
  ASSERT_TRUE(r->create(brief));
  ASSERT_TRUE(r->create(definition("now")));
  EXPECT_EQ(running(), "brief now");
  EXPECT_EQ(r->show("later")->phase, Phase::kScheduled);
  pass(*r, minutes(3));
  EXPECT_EQ(running(), "now");
  EXPECT_EQ(r->show("brief")->phase, Phase::kDone);
  pass(*r, minutes(3));
  EXPECT_EQ(running(), "later now");
  pass(*r, minutes(2));
  EXPECT_EQ(running(), "now");
  EXPECT_EQ(r->show("later")->progress.done, 1u);
  EXPECT_EQ(*r->show("later")->next_change, *later.schedule.start + hours(24));
}

TEST_F(RecordingsTest, PauseResumeStopExtendDelete) {
  auto r = open();
  Definition d = definition("a");
  d.schedule.duration = minutes(10);
  ASSERT_TRUE(r->create(d));
  EXPECT_EQ(r->pause("a")->phase, Phase::kPaused);
  EXPECT_EQ(running(), "");
  pass(*r, minutes(2));
  EXPECT_EQ(r->resume("a")->phase, Phase::kRunning);
  EXPECT_EQ(running(), "a");
  ASSERT_TRUE(r->extend("a", minutes(5)));
  pass(*r, minutes(12));
  EXPECT_EQ(running(), "a");
  pass(*r, minutes(1));
  EXPECT_EQ(r->show("a")->phase, Phase::kDone);
  EXPECT_EQ(r->extend("a", minutes(1))->phase, Phase::kRunning) << "another iteration";
  EXPECT_EQ(r->stop("a")->phase, Phase::kStopped);
  EXPECT_EQ(running(), "");
  EXPECT_EQ(r->resume("a")->phase, Phase::kRunning);
  ASSERT_TRUE(r->remove("a"));
  EXPECT_EQ(running(), "");
  EXPECT_EQ(r->show("a").error().code, Code::kNotFound);
  for (const auto& answer : {r->pause("a"), r->resume("a"), r->stop("a"), r->extend("a", minutes(1))})
    EXPECT_EQ(answer.error().code, Code::kNotFound);
  EXPECT_EQ(r->remove("a").error().code, Code::kNotFound);
}

TEST_F(RecordingsTest, WhatIsWrongIsSaidAndChangesNothing) {
  auto r = open();
  for (const char* name : {"", "a/b", "..", "a=b", "a,b", "a\"b"}) EXPECT_FALSE(r->create(definition(name))) << name;
  EXPECT_FALSE(r->create(definition("a", "broken")));
  Definition nowhere = definition("a");
  nowhere.destination = "";
  EXPECT_FALSE(r->create(nowhere));
  nowhere.destination = "ftp://x/y";
  EXPECT_FALSE(r->create(nowhere));
  ASSERT_TRUE(r->create(definition("a")));
  EXPECT_EQ(r->create(definition("a")).error().code, Code::kConflict);
  EXPECT_FALSE(r->configure({definition("b"), definition("c", "broken")}));
  EXPECT_EQ(r->list().size(), 1u);
  EXPECT_FALSE(r->extend("a", minutes(1))) << "it has no end";
}

TEST_F(RecordingsTest, SizesEndThem) {
  auto r = open();
  Definition d = definition("a");
  d.limit_items = 3;
  ASSERT_TRUE(r->create(d));
  running_[0].tally->items = 2;
  r->tick();
  EXPECT_EQ(running(), "a");
  running_[0].tally->items = 3;
  r->tick();
  EXPECT_EQ(running(), "");
  EXPECT_EQ(r->show("a")->phase, Phase::kFull);
  restart(r);
  EXPECT_EQ(r->show("a")->phase, Phase::kFull);
  EXPECT_EQ(r->show("a")->items, 3u);
}

TEST_F(RecordingsTest, TheConfigurationIsFollowed) {
  auto r = open();
  Definition a = definition("a"), b = definition("b");
  a.origin = b.origin = Definition::Origin::kConfig;
  ASSERT_TRUE(r->create(definition("mine")));
  ASSERT_TRUE(r->configure({a, b}));
  EXPECT_EQ(running(), "a b mine");
  running_[0].tally->items = 7;
  const int before = applied_;
  ASSERT_TRUE(r->configure({a, b}));
  EXPECT_EQ(applied_, before) << "nothing has changed";
  a.pattern = "http and response.status > 1";
  a.destination += "2";
  a.limit_items = 100;
  ASSERT_TRUE(r->configure({a}));
  EXPECT_EQ(running(), "a mine");
  EXPECT_EQ(running_[0].filter.text(), a.pattern);
  EXPECT_EQ(running_[0].destination, a.destination);
  EXPECT_EQ(r->show("a")->items, 7u) << "and goes on";
  EXPECT_FALSE(r->show("b"));
  ASSERT_TRUE(r->remove("a"));
  EXPECT_EQ(r->show("a")->phase, Phase::kStopped) << "it would come back";
  restart(r);
  ASSERT_TRUE(r->configure({a}));
  EXPECT_EQ(r->show("a")->phase, Phase::kStopped);
  EXPECT_EQ(running(), "mine");
  a.schedule.duration = hours(1);
  ASSERT_TRUE(r->configure({a}));
  EXPECT_EQ(r->show("a")->phase, Phase::kRunning) << "another time is another try";
}

TEST_F(RecordingsTest, ACommandLinesRecordingEndsWithItsProcess) {
  auto r = open();
  Definition d = definition("default");
  d.origin = Definition::Origin::kCommand;
  ASSERT_TRUE(r->configure({d}));
  ASSERT_TRUE(r->stop("default"));
  restart(r);
  EXPECT_FALSE(r->show("default"));
  ASSERT_TRUE(r->configure({d}));
  EXPECT_EQ(r->show("default")->phase, Phase::kRunning);
}

TEST_F(RecordingsTest, MoreThanTheRecorderTakesWaitTheirTurn) {
  auto r = open();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(r->create(definition("z" + std::to_string(100 - i))));
  EXPECT_EQ(running_.size(), Recorder::kMostRecordings);
  EXPECT_EQ(r->show("z100")->problem, "") << "those that came first";
  EXPECT_EQ(r->show("z100")->phase, Phase::kRunning);
  EXPECT_NE(r->show("z61")->problem, "");
  EXPECT_EQ(r->show("z61")->phase, Phase::kQueued);
  ASSERT_TRUE(r->stop("z100"));
  EXPECT_EQ(running_.size(), Recorder::kMostRecordings);
  uint64_t waiting = 0;
  for (const RecordingStatus& s : r->list()) {
    waiting += s.problem.empty() ? 0 : 1;
    EXPECT_EQ(s.phase == Phase::kQueued, !s.problem.empty()) << s.definition.name;
  }
  EXPECT_EQ(waiting, 7u) << "one of those that waited runs";
}

TEST_F(RecordingsTest, StateSurvivesARestart) {
  auto r = open();
  Definition d = definition("a");
  d.description = "why";
  d.schedule = {now_.wall + hours(1), minutes(10), 3, "Europe/Berlin"};
  d.expiration = hours(48);
  d.limit_bytes = 5;
  d.limit_items = 6;
  ASSERT_TRUE(r->create(d));
  ASSERT_TRUE(r->create(definition("b")));
  ASSERT_TRUE(r->pause("b"));
  pass(*r, hours(2));
  const std::string before = to_json(*r->show("a"));
  restart(r);
  EXPECT_EQ(to_json(*r->show("a")), before);
  EXPECT_EQ(r->show("a")->definition, d);
  EXPECT_EQ(r->show("a")->progress.done, 1u);
  EXPECT_EQ(r->show("b")->phase, Phase::kPaused);
  EXPECT_EQ(running(), "");
}

TEST_F(RecordingsTest, AKillAtAnyInstantLeavesAStateThatWasThere) {
  // A child that does one thing after the other, and is killed in the middle: what it was told to be done is done.
  for (int round = 0; round < 40; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::filesystem::remove(folder_ / "recordings.json");
    const pid_t child = ::fork();
    if (child == 0) {
      auto r = *Recordings::open(options());
      for (uint32_t i = 0; i < 100'000; ++i) {
        const std::string name = "r" + std::to_string(i % 5);
        if (!r->show(name)) (void)r->create(definition(name));
        (void)(i % 2 == 0 ? r->pause(name) : r->resume(name));
        if (::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 700 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    uint32_t last = 0, one = 0;
    bool any = false;
    while (::read(ends[0], &one, sizeof one) == sizeof one) {
      last = one;
      any = true;
    }
    ::close(ends[0]);
    auto r = Recordings::open(options());
    ASSERT_TRUE(r) << r.error().message;
    if (!any) continue;
    // All but the one after the last may not have changed since.
    for (uint32_t back = 0; back < 4 && back <= last; ++back) {
      const uint32_t i = last - back;
      const auto shown = (*r)->show("r" + std::to_string(i % 5));
      ASSERT_TRUE(shown) << i;
      EXPECT_EQ(shown->progress.paused, i % 2 == 0) << i << " of " << last;
    }
  }
}

TEST_F(RecordingsTest, OneProcessAtATimeAndDamageIsNotOverwritten) {
  auto r = open();
  EXPECT_EQ(Recordings::open(options()).error().code, Code::kConflict);
  ASSERT_TRUE(r->create(definition("a")));
  r.reset();
  for (const char* text : {"", "{", "[]", R"({"version":2,"recordings":[]})", R"({"version":1,"recordings":[{}]})"}) {
    write_whole(folder_ / "recordings.json", text);
    EXPECT_FALSE(Recordings::open(options())) << text;
    EXPECT_EQ(read_whole(folder_ / "recordings.json"), text);
  }
}

TEST_F(RecordingsTest, AStateThatCannotBeWrittenIsToldAndWrittenLater) {
  auto r = open();
  std::filesystem::create_directory(folder_ / "recordings.json.part");  // in the way
  EXPECT_EQ(r->create(definition("a")).error().code, Code::kIo);
  EXPECT_NE(r->problem(), "");
  std::filesystem::remove(folder_ / "recordings.json.part");
  r->tick();
  EXPECT_EQ(r->problem(), "");
  restart(r);
  EXPECT_TRUE(r->show("a"));
}

TEST_F(RecordingsTest, ListSearches) {
  auto r = open();
  Definition d = definition("checkout");
  d.description = "Errors of the Shop";
  ASSERT_TRUE(r->create(d));
  ASSERT_TRUE(r->create(definition("dns-all", "dns")));
  EXPECT_EQ(r->list().size(), 2u);
  EXPECT_EQ(r->list("shop").size(), 1u);
  EXPECT_EQ(r->list("DNS").size(), 1u);
  EXPECT_EQ(r->list("bucket").size(), 2u);
  EXPECT_EQ(r->list("nothing").size(), 0u);
}

TEST_F(RecordingsTest, DefinitionsAreReadStrictly) {
  EXPECT_TRUE(definition_from_json(R"({"name":"a","destination":"/b","redact":true})")->redact.secrets);
  EXPECT_EQ(
      definition_from_json(R"({"name":"a","destination":"/b","redact":{"json":["request.body.x"]}})")->redact.json,
      std::vector<std::string>{"request.body.x"});
  EXPECT_FALSE(definition_from_json(R"({"name":"a","destination":"/b","redact":{"jsn":[]}})"));
  EXPECT_FALSE(definition_from_json(R"({"name":"a","destination":"/b","redact":{"headers":"x"}})"));
  EXPECT_FALSE(definition_from_json(R"({"name":"a","destination":"/b","redact":7})"));
  const auto d = definition_from_json(
      R"({"name":"a","pattern":"http","destination":"gs://b/p","start":"2026-03-01T10:00:00+01:00","duration":"30m",
          "iterations":0,"expiration":"30d","limit_bytes":"5Gi","limit_items":10})");
  ASSERT_TRUE(d) << d.error().message;
  EXPECT_EQ(*d->schedule.start, *parse_time("2026-03-01T09:00:00Z", Timestamp{}));
  EXPECT_EQ(d->schedule.duration, Duration(minutes(30)));
  EXPECT_EQ(d->limit_bytes, 5ull << 30);
  for (const char* text :
       {"", "[]", "{}", R"({"name":1,"destination":"x"})", R"({"name":"a"})",
        R"({"name":"a","destination":"x","patern":"http"})", R"({"name":"a","destination":"x","start":"tomorrow"})",
        R"({"name":"a","destination":"x","duration":"long"})", R"({"name":"a","destination":"x","duration":-1})",
        R"({"name":"a","destination":"x","iterations":-1})",
        R"({"name":"a","destination":"x","iterations":5000000000})",
        R"({"name":"a","destination":"x","limit_items":1.5})"})
    EXPECT_FALSE(definition_from_json(text)) << text;
  EXPECT_NE(definition_from_json(R"({"name":"a","destination":"x","patern":"http"})").error().message.find("'pattern'"),
            std::string::npos);
}

TEST_F(RecordingsTest, RulesOfRedactionHoldForAllAndSurviveARestart) {
  RedactionRules all;
  const auto rules = [&all](const RedactionRules& own) -> Result<std::shared_ptr<const Redaction>> {
    const RedactionRules both = all + own;
    if (both.empty()) return std::shared_ptr<const Redaction>();
    return Redaction::compile(both, {});
  };
  auto r = open();
  ASSERT_TRUE(r->create(definition("plain")));
  Definition own = definition("own");
  own.redact.headers = {"X-Tenant"};
  ASSERT_TRUE(r->create(own));
  ASSERT_EQ(running(), "own plain");
  EXPECT_EQ(running_[0].redaction->rules().headers, own.redact.headers);
  EXPECT_EQ(running_[1].redaction, nullptr);

  all.secrets = true;
  ASSERT_TRUE(r->set_redaction(rules));
  ASSERT_EQ(running(), "own plain");
  EXPECT_TRUE(running_[0].redaction->rules().secrets);
  EXPECT_EQ(running_[0].redaction->rules().headers, own.redact.headers);
  EXPECT_TRUE(running_[1].redaction->rules().secrets);

  all.patterns = {"("};
  EXPECT_FALSE(r->set_redaction(rules));
  EXPECT_TRUE(running_[1].redaction->rules().patterns.empty());
  Definition wrong = definition("wrong");
  wrong.redact.patterns = {"("};
  EXPECT_FALSE(r->create(wrong));

  restart(r);
  ASSERT_EQ(running(), "own plain");
  EXPECT_EQ(running_[0].redaction->rules().headers, own.redact.headers);
}

TEST_F(RecordingsTest, WhatLiesBeyondMatchesIsHandedOverAndSurvivesARestart) {
  auto r = open();
  Definition d = definition("a", "");
  d.look_back = minutes(5);
  d.scope = "tcp port 80";
  d.undissected = true;
  d.schedule = {now_.wall + minutes(1), minutes(2), 2, ""};
  ASSERT_TRUE(r->create(d));
  Definition all = definition("all", "");
  ASSERT_TRUE(r->create(all));
  pass(*r, minutes(1));
  ASSERT_EQ(running(), "a all");
  const Recording first = running_[0];
  EXPECT_EQ(first.look_back, minutes(5));
  EXPECT_EQ(first.scope.text(), "tcp port 80");
  EXPECT_TRUE(first.undissected);
  EXPECT_FALSE(first.by_filter) << "no pattern beside a scope: nothing matches by itself";
  EXPECT_TRUE(running_[1].by_filter) << "no pattern and no scope: everything";
  restart(r);
  ASSERT_EQ(running(), "a all");
  EXPECT_EQ(running_[0].scope.text(), "tcp port 80");
  EXPECT_EQ(running_[0].look_back, minutes(5));
  EXPECT_TRUE(running_[0].undissected);
  EXPECT_EQ(r->show("a")->definition, d);
  // It begins once for each iteration, whatever happens in it.
  ASSERT_TRUE(r->pause("a"));
  ASSERT_TRUE(r->resume("a"));
  EXPECT_EQ(running_[0].beginning, first.beginning);
  pass(*r, hours(24));
  ASSERT_EQ(running(), "a all");
  EXPECT_NE(running_[0].beginning, first.beginning);
}

TEST_F(RecordingsTest, AScopeOfTheConfigurationIsReloaded) {
  auto r = open();
  Definition d = definition("a", "");
  d.origin = Definition::Origin::kConfig;
  d.scope = "port 80";
  ASSERT_TRUE(r->configure({d}));
  ASSERT_EQ(running_[0].scope.text(), "port 80");
  const int before = applied_;
  ASSERT_TRUE(r->configure({d}));
  EXPECT_EQ(applied_, before);
  d.scope = "port 81";
  d.pattern = "http";
  ASSERT_TRUE(r->configure({d}));
  EXPECT_EQ(running_[0].scope.text(), "port 81");
  EXPECT_TRUE(running_[0].by_filter);
  d.scope = "port of call";
  const auto refused = r->configure({d});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("scope"), std::string::npos) << refused.error().message;
  EXPECT_EQ(running_[0].scope.text(), "port 81") << "nothing has changed";
  d.scope = "";
  d.undissected = true;
  ASSERT_TRUE(r->configure({d}));
  EXPECT_TRUE(running_[0].undissected);
  EXPECT_FALSE(running_[0].scope.any());
  d.look_back = -seconds(1);
  EXPECT_FALSE(r->configure({d}));
}

TEST_F(RecordingsTest, WithoutItsRulesNothingIsRecorded) {
  {
    auto r = open();
    Definition own = definition("own");
    own.redact.patterns = {"secret=([a-z]+)"};
    ASSERT_TRUE(r->create(own));
  }
  // Another version of the program that does not take the rule.
  Recordings::Options other = options();
  other.redaction = [](const RedactionRules&) -> Result<std::shared_ptr<const Redaction>> {
    return Error{Code::kInvalid, "no such rule"};
  };
  running_.clear();
  auto r = Recordings::open(std::move(other));
  ASSERT_TRUE(r);
  (*r)->tick();
  EXPECT_EQ(running(), "");
  EXPECT_EQ((*r)->show("own")->problem, "no such rule");
}

TEST_F(RecordingsTest, TextsAreUtf8) {
  for (std::string Definition::* text : {&Definition::name, &Definition::pattern, &Definition::destination}) {
    Definition d = definition("a");
    d.*text += "\xff";
    const auto checked = d.check();
    ASSERT_FALSE(checked);
    EXPECT_NE(checked.error().message.find("UTF-8"), std::string::npos) << checked.error().message;
  }
}

/// All items come before any packet is copied, as offline: the limit of bytes cuts their streams off, and says so.
TEST_F(RecordingsTest, WhatALimitOfBytesCutsOffIsCounted) {
  Shard shard(folder_.path(), recorder_options(folder_ / "spool", "00000001"));
  const auto r = open_for(shard);
  Definition small = definition("small");
  small.limit_bytes = 1000;
  Definition few = definition("few");
  few.limit_items = 20;
  ASSERT_TRUE(r->create(small));
  ASSERT_TRUE(r->create(few));
  for (uint64_t n = 0; n < 20; ++n) shard.packets(n, 2, 100);
  for (uint64_t n = 0; n < 20; ++n) shard.item(n);
  shard->settle();
  r->tick();
  shard->stop(seconds(20));
  const index::LossLedger ledger = shard->status().ledger;
  EXPECT_TRUE(ledger.balances());
  EXPECT_GT(ledger.packets_beyond_limit, 0u);
  EXPECT_EQ(ledger.packets_matched, 80u);
  EXPECT_EQ(ledger.packets_stored + ledger.packets_beyond_limit, 80u);
  EXPECT_EQ(r->show("few")->packets, 40u);
}

TEST_F(RecordingsTest, ARecorderFollowsThem) {
  Shard shard(folder_.path(), recorder_options(folder_ / "spool", "00000001"));
  const auto r = open_for(shard);
  Definition few = definition("few");
  few.limit_items = 5;
  Definition small = definition("small");
  small.limit_bytes = 1000;
  ASSERT_TRUE(r->create(few));
  ASSERT_TRUE(r->create(small));
  ASSERT_TRUE(r->create(definition("all")));
  for (uint64_t n = 0; n < 20; ++n) {
    shard.packets(n, 2, 100);
    shard.item(n);
    shard->settle();
    r->tick();
  }
  ASSERT_TRUE(r->pause("all"));
  shard.item(1);
  shard->settle();
  ASSERT_TRUE(r->resume("all"));
  shard.item(2);
  shard->stop(seconds(20));
  EXPECT_EQ(r->show("few")->items, 5u);
  EXPECT_GE(r->show("small")->bytes, 1000u);
  EXPECT_LT(r->show("small")->bytes, 1200u);
  EXPECT_EQ(r->show("all")->items, 21u);
  EXPECT_EQ(r->show("all")->packets, 40u);
  EXPECT_TRUE(shard->status().ledger.balances());
  std::map<std::string, uint64_t> items, packets;
  for (const index::BlockRecord& block : read_kept(folder_ / "bucket").blocks) {
    items[block.recording] += block.items;
    packets[block.recording] += block.packets;
  }
  EXPECT_EQ(items["few"], 5u);
  EXPECT_EQ(packets["few"], 10u);  // of the last item, too
  EXPECT_EQ(items["all"], 21u);
}

}  // namespace
}  // namespace baleen::record
