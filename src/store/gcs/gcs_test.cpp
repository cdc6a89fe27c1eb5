#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/crc32c.h"
#include "store/harness.h"
#include "store/retrying_store.h"

namespace baleen::store::gcs {
namespace {

/// One emulator for all tests; each resets it.
class Gcs : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = std::make_unique<ScratchFolder>();
    server_ = Emulator::start("gcs_emulator.js", {"--key", scratch_->path("key.json")}, &absent_);
  }
  static void TearDownTestSuite() {
    server_.reset();
    scratch_.reset();
  }
  void SetUp() override {
    if (!server_) GTEST_SKIP() << "gs: " << absent_;
    server_->control(R"({"faults":[]})");
  }
  std::unique_ptr<ObjectStore> open() const {
    std::ifstream key(scratch_->path("key.json"));
    OpenOptions options;
    options.endpoint = server_->value("endpoint");
    options.gcs_service_account_json.assign(std::istreambuf_iterator<char>(key), {});
    auto opened = store::open({"gs", "bucket", ""}, options);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
  }
  std::unique_ptr<RetryingStore> retrying() {
    RetryPolicy policy;
    policy.sleep = [this](std::chrono::milliseconds time) { waits_.push_back(time); };
    return std::make_unique<RetryingStore>(open(), policy);
  }

  static inline std::unique_ptr<ScratchFolder> scratch_;
  static inline std::unique_ptr<Emulator> server_;
  static inline std::string absent_;
  std::vector<std::chrono::milliseconds> waits_;
};

TEST_F(Gcs, AnUploadGoesOnInAnotherProcess) {
  const std::string content = noise((20 << 20) + 17, 3), path = scratch_->file("f", content);
  server_->control(R"({"faults":[{"match":"PUT .*upload_id","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.on_session = [&](const std::string& text) { session = text; };
  const auto cut = open()->put_file("big", path, how);
  ASSERT_FALSE(cut);
  EXPECT_TRUE(cut.error().retryable()) << cut.error().message;
  ASSERT_NE(session, "");
  server_->control(R"({"faults":[]})");
  how.session = session;
  const size_t begun = server_->requests("POST /upload");
  const auto done = open()->put_file("big", path, how);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(server_->requests("POST /upload"), begun) << "no session beside the first";
  EXPECT_EQ(session, "") << "it is over";
  EXPECT_TRUE(open()->get("big").value_or("") == content);
}

TEST_F(Gcs, ASessionThatIsGoneBeginsAnew) {
  const std::string content = noise(9 << 20, 5), path = scratch_->file("g", content);
  PutOptions how;
  how.session = server_->value("endpoint") + "/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id=none";
  server_->control(R"({"faults":[{"match":"PUT .*upload_id=none","status":410,"times":1}]})");
  ASSERT_TRUE(open()->put_file("again", path, how));
  how.session = "http://elsewhere.example.com/upload/x";
  const auto facts = open()->put_file("safe", path, how);
  ASSERT_TRUE(facts) << "credentials go nowhere else: " << facts.error().message;
}

TEST_F(Gcs, AFileThatIsNotWhatItsSumSaysIsRefusedForGood) {
  for (const size_t size : {size_t{1000}, size_t{9 << 20}}) {
    const std::string path = scratch_->file("damaged", noise(size, 6));
    PutOptions how;
    how.crc32c = crc32c(as_bytes("something else"));
    const auto refused = retrying()->put_file("damaged", path, how);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalid) << refused.error().message;
    EXPECT_EQ(open()->head("damaged").error().code, Code::kNotFound);
  }
}

TEST_F(Gcs, ATokenThatIsRefusedIsFetchedAnewOnce) {
  const auto store = open();
  ASSERT_TRUE(store->put("t", as_bytes("x"), {}));
  server_->control(R"({"revoke":true})");
  ASSERT_TRUE(store->put("t", as_bytes("y"), {}));
  server_->control(R"({"faults":[{"match":"upload","status":401}]})");
  EXPECT_EQ(store->put("t", as_bytes("z"), {}).error().code, Code::kDenied);
}

TEST_F(Gcs, ALostAnswerIsNoConflict) {
  const auto store = retrying();
  server_->control(R"({"faults":[{"match":"POST /upload","times":2,"cut":"after"}]})");
  const auto facts = put_once(*store, "lost", as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(store->get("lost").value_or(""), "content");
}

}  // namespace
}  // namespace baleen::store::gcs
