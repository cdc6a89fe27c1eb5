#include "store/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "store/harness.h"
#include "store/json.h"
#include "store/xml.h"

namespace baleen::store {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kTheirs =
    R"({"rule":[{"action":{"type":"SetStorageClass","storageClass":"NEARLINE"},"condition":{"age":10}},)"
    R"({"action":{"type":"Delete"},"condition":{"age":5,"matchesPrefix":["p/"],"isLive":false}},)"
    R"({"action":{"type":"Delete"},"condition":{"age":5,"matchesPrefix":["p/","q/"]}}]})";

TEST(Lifecycle, CloudStoragesOtherRulesStayAsTheyAre) {
  const auto plan = plan_lifecycle("gs", {kTheirs, "7"}, {"p/", 30});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->stay, SizeIs(3));
  EXPECT_THAT(plan->leave, IsEmpty());
  EXPECT_TRUE(plan->changes);
  EXPECT_EQ(plan->rules.version, "7");
  json expected = json::parse(kTheirs);
  expected["rule"].push_back(
      {{"action", {{"type", "Delete"}}}, {"condition", {{"age", 30}, {"matchesPrefix", {"p/"}}}}});
  EXPECT_EQ(json::parse(plan->rules.text), expected);

  const auto again = plan_lifecycle("gs", {plan->rules.text, "8"}, {"p/", 30});
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->changes);
  const auto other = plan_lifecycle("gs", {plan->rules.text, "8"}, {"p/", 60});
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->changes);
  EXPECT_THAT(other->leave, SizeIs(1));
  EXPECT_EQ(json::parse(other->rules.text)["rule"].size(), 4u) << "the older one of ours is replaced";
}

TEST(Lifecycle, S3sOtherRulesStayToTheLetter) {
  const std::string theirs = "<Rule ><ID>x</ID></Rule>",
                    odd = "<LifecycleConfiguration>" + theirs + "</LifecycleConfiguration>";
  EXPECT_FALSE(plan_lifecycle("s3", {odd, ""}, {"p/", 30})) << "a rule that would be lost is not written over";
  const std::string rule =
      "<Rule>\n  <ID>logs &amp; more</ID><Prefix>logs/</Prefix><Status>Disabled</Status>"
      "<Transition><Days>3</Days><StorageClass>GLACIER</StorageClass></Transition><NewThing a='1'/></Rule>";
  const LifecycleText now{
      "<?xml version=\"1.0\"?>\n<LifecycleConfiguration xmlns=\"x\">" + rule + "</LifecycleConfiguration>", ""};
  const auto plan = plan_lifecycle("s3", now, {"a&b/", 30});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->stay, ElementsAre(HasSubstr("'logs & more' for 'logs/'")));
  EXPECT_THAT(plan->rules.text, HasSubstr(rule));
  EXPECT_THAT(plan->rules.text, HasSubstr("<Prefix>a&amp;b/</Prefix>"));
  EXPECT_THAT(plan->rules.text, HasSubstr("<Expiration><Days>30</Days></Expiration>"));
  ASSERT_TRUE(parse_xml(plan->rules.text));
  EXPECT_FALSE(plan_lifecycle("s3", plan->rules, {"a&b/", 30})->changes);
  const auto other = plan_lifecycle("s3", plan->rules, {"a&b/", 31});
  EXPECT_TRUE(other->changes);
  EXPECT_THAT(*describe_lifecycle("s3", other->rules.text), SizeIs(2));
  EXPECT_THAT(*describe_lifecycle("s3", plan_lifecycle("s3", other->rules, {"c/", 31})->rules.text), SizeIs(3));
}

TEST(Lifecycle, WhatIsNoSuchRuleIsRefused) {
  EXPECT_FALSE(plan_lifecycle("gs", {}, {"", 30})) << "a whole bucket";
  EXPECT_FALSE(plan_lifecycle("gs", {}, {"p/", 0}));
  EXPECT_FALSE(plan_lifecycle("gs", {"[]", ""}, {"p/", 1}));
  EXPECT_FALSE(plan_lifecycle("gs", {R"({"rule":5})", ""}, {"p/", 1}));
  EXPECT_FALSE(plan_lifecycle("azblob", {}, {"p/", 1}));
  EXPECT_FALSE(plan_lifecycle("s3", {"<Error/>", ""}, {"p/", 1}));
  const std::string whole = plan_lifecycle("s3", {}, {"p/", 1})->rules.text;
  for (size_t n = 1; n < whole.size(); ++n)
    EXPECT_FALSE(plan_lifecycle("s3", {whole.substr(0, n), ""}, {"p/", 2})) << n;
}

TEST(Lifecycle, IsExplainedForEachKindOfPlace) {
  EXPECT_THAT(explain_lifecycle({"gs", "b", "p"}, 30), HasSubstr("gcloud storage buckets update gs://b "));
  EXPECT_THAT(explain_lifecycle({"s3", "b", "p"}, 30), HasSubstr("s3:PutLifecycleConfiguration"));
  const std::string azure = explain_lifecycle({"azblob", "account/box", "p"}, 30);
  EXPECT_THAT(azure, HasSubstr("\"box/p/\""));
  EXPECT_THAT(azure, HasSubstr("--account-name account "));
  EXPECT_THAT(explain_lifecycle({"file", "", "/folder"}, 30), HasSubstr("--older-than 30d"));
}

/// At a bucket with a rule of somebody else's.
void installs(LifecycleKeeper& store, std::string_view scheme, const std::string& theirs) {
  ASSERT_TRUE(store.set_lifecycle({theirs, ""}));
  const auto now = store.lifecycle();
  ASSERT_TRUE(now) << now.error().message;
  const auto plan = plan_lifecycle(scheme, *now, {"p/", 30});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_THAT(plan->stay, SizeIs(1));
  const auto done = store.set_lifecycle(plan->rules);
  ASSERT_TRUE(done) << done.error().message;
  const auto after = store.lifecycle();
  ASSERT_TRUE(after);
  EXPECT_THAT(*describe_lifecycle(scheme, after->text), SizeIs(2));
  EXPECT_FALSE(plan_lifecycle(scheme, *after, {"p/", 30})->changes);
}

TEST(Lifecycle, IsInstalledInCloudStorage) {
  const ScratchFolder scratch;
  std::string absent;
  const auto server = Emulator::start("gcs_emulator.js", {"--key", scratch.path("key.json")}, &absent);
  if (!server) GTEST_SKIP() << "gs: " << absent;
  std::ifstream key(scratch.path("key.json"));
  OpenOptions options;
  options.endpoint = server->value("endpoint");
  options.gcs_service_account_json.assign(std::istreambuf_iterator<char>(key), {});
  const auto store = open({"gs", "bucket", ""}, options);
  ASSERT_TRUE(store);
  auto& keeper = dynamic_cast<LifecycleKeeper&>(**store);
  EXPECT_EQ(keeper.lifecycle()->text, "");
  installs(keeper, "gs", R"({"rule":[{"action":{"type":"Delete"},"condition":{"age":900}}]})");
  // Somebody else has changed the bucket's settings in between.
  EXPECT_EQ(keeper.set_lifecycle({R"({"rule":[]})", "1"}).error().code, Code::kConflict);
  server->control(R"({"faults":[{"match":"^PATCH ","status":403,"times":1}]})");
  const auto denied = keeper.set_lifecycle({R"({"rule":[]})", ""});
  EXPECT_EQ(denied.error().code, Code::kDenied) << denied.error().message;
}

TEST(Lifecycle, IsInstalledInS3) {
  std::string absent;
  const auto server = Emulator::start("s3_emulator.js", {}, &absent);
  if (!server) GTEST_SKIP() << "s3: " << absent;
  OpenOptions options;
  options.endpoint = server->value("endpoint");
  options.s3_access_key = server->value("access_key");
  options.s3_secret_key = server->value("secret_key");
  const auto store = open({"s3", server->value("bucket"), ""}, options);
  ASSERT_TRUE(store);
  auto& keeper = dynamic_cast<LifecycleKeeper&>(**store);
  EXPECT_EQ(keeper.lifecycle()->text, "") << "there are none";
  installs(keeper, "s3",
           "<LifecycleConfiguration><Rule><ID>theirs</ID><Filter><Prefix>x/</Prefix></Filter><Status>Enabled</Status>"
           "<Expiration><Days>900</Days></Expiration></Rule></LifecycleConfiguration>");
  for (const char* permission : {"s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"}) {
    server->control(std::string(R"({"deny":[")") + permission + R"("]})");
    const auto read = keeper.lifecycle();
    const Error error = read ? keeper.set_lifecycle(*read).error() : read.error();
    EXPECT_EQ(error.code, Code::kDenied);
    EXPECT_THAT(error.message, HasSubstr(permission));
  }
}

}  // namespace
}  // namespace baleen::store
