// What the contract does not tell of S3: faults, uploads that go on, regions, clocks, and where keys come from. Against
// the emulator, whose front verifies each signature with Amazon's own signer.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "base/crc32c.h"
#include "store/check.h"
#include "store/harness.h"
#include "store/retrying_store.h"
#include "store/s3/answers.h"
#include "store/s3/credentials.h"

namespace baleen::store::s3 {
namespace {

using testing::HasSubstr;
using testing::Not;

io::HttpAnswer answer_of(int status, std::string body) {
  io::HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

std::string error_xml(const char* code, const char* message = "m") {
  return std::string("<Error><Code>") + code + "</Code><Message>" + message + "</Message></Error>";
}

TEST(S3Answers, ARefusalIsADecision) {
  const struct {
    int status;
    const char* code;
    Code expected;
  } table[] = {
      {503, "SlowDown", Code::kUnavailable},
      {500, "InternalError", Code::kUnavailable},
      {200, "InternalError", Code::kUnavailable},
      {400, "RequestTimeout", Code::kTimeout},
      {400, "BadDigest", Code::kUnavailable},
      {400, "XAmzContentSHA256Mismatch", Code::kUnavailable},
      {400, "EntityTooLarge", Code::kInvalid},
      {400, "ExpiredToken", Code::kDenied},
      {403, "AccessDenied", Code::kDenied},
      {403, "SignatureDoesNotMatch", Code::kDenied},
      {404, "NoSuchKey", Code::kNotFound},
      {404, "NoSuchBucket", Code::kNotFound},
      {409, "ConditionalRequestConflict", Code::kUnavailable},
      {409, "OperationAborted", Code::kUnavailable},
      {409, "BucketAlreadyExists", Code::kConflict},
      {412, "PreconditionFailed", Code::kConflict},
      {429, "TooManyRequests", Code::kUnavailable},
      {501, "NotImplemented", Code::kInvalid},
      {503, "Anything", Code::kUnavailable},
  };
  for (const auto& row : table)
    EXPECT_EQ(error_of(answer_of(row.status, error_xml(row.code)), "x", "s3:PutObject", "who").code, row.expected)
        << row.status << " " << row.code;
  EXPECT_EQ(error_of(answer_of(403, ""), "x", "s3:PutObject", "who").code, Code::kDenied) << "no body, as after HEAD";
  EXPECT_EQ(error_of(answer_of(502, "<html>"), "x", "s3:PutObject", "who").code, Code::kUnavailable) << "a proxy's";
}

TEST(S3Answers, ARefusalNamesThePermission) {
  const auto text = [](const std::string& xml) {
    return error_of(answer_of(403, xml), "put s3://b/k", "s3:PutObject", "access key A").message;
  };
  EXPECT_THAT(text(error_xml("AccessDenied", "Access Denied")),
              HasSubstr("access key A lacks the permission s3:PutObject"));
  EXPECT_THAT(text(error_xml("AccessDenied",
                             "User: arn:aws:iam::1:user/x is not authorized to perform: "
                             "kms:GenerateDataKey on resource: y")),
              HasSubstr("lacks the permission kms:GenerateDataKey"))
      << "the store's word goes before ours";
  EXPECT_THAT(text(error_xml("InvalidAccessKeyId")), HasSubstr("no such access key"));
}

TEST(S3Answers, ListsAreReadWithoutTrust) {
  const auto page = parse_list(
      "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><EncodingType>url</EncodingType>"
      "<IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken><Contents><Key>a+b%2Bc</Key>"
      "<LastModified>2009-10-12T17:50:30.500Z</LastModified><ETag>&quot;e&quot;</ETag><Size>434234</Size></Contents>"
      "<CommonPrefixes><Prefix>p%26/</Prefix></CommonPrefixes></ListBucketResult>");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].key, "a b+c");
  EXPECT_EQ(page->objects[0].size, 434234u);
  EXPECT_EQ(page->objects[0].etag, "e");
  EXPECT_EQ(to_ms(page->objects[0].modified), 1255369830500);
  EXPECT_THAT(page->prefixes, testing::ElementsAre("p&/"));
  EXPECT_EQ(page->next_page_token, "n");

  for (const char* wrong :
       {"", "{}", "<Other/>", "<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>"}) {
    const auto refused = parse_list(wrong);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
  }
}

TEST(S3Answers, TheETagOfPartsOrOfAKeyIsNoMd5) {
  const std::string md5 = "9a0364b9e99bb480dd25e1f0284c8555";
  EXPECT_TRUE(etag_is_md5(answer_of(200, ""), md5));
  EXPECT_FALSE(etag_is_md5(answer_of(200, ""), md5 + "-3"));
  io::HttpAnswer encrypted = answer_of(200, "");
  encrypted.headers = {{"x-amz-server-side-encryption", "aws:kms"}};
  EXPECT_FALSE(etag_is_md5(encrypted, md5));
  encrypted.headers = {{"x-amz-server-side-encryption", "AES256"}};
  EXPECT_TRUE(etag_is_md5(encrypted, md5));
}

TEST(S3Credentials, ProfileFiles) {
  Profiles profiles;
  parse_profiles("junk\n[default]\naws_access_key_id = A\n# aws_secret_access_key = no\naws_secret_access_key=S=1\r\n",
                 profiles);
  parse_profiles(
      "[profile other]\nregion = eu-west-1 # near\ns3 =\n  endpoint_url = http://nested\n[default]\n"
      "aws_access_key_id = later\nregion=us-west-2\n[unclosed\n=\n",
      profiles);
  EXPECT_EQ(profiles["default"]["aws_access_key_id"], "A") << "the first that says it";
  EXPECT_EQ(profiles["default"]["aws_secret_access_key"], "S=1");
  EXPECT_EQ(profiles["default"]["region"], "us-west-2");
  EXPECT_EQ(profiles["other"]["region"], "eu-west-1");
  EXPECT_FALSE(profiles["other"].contains("endpoint_url")) << "of the nested section";
}

/// One emulator for all tests; each resets it.
class S3 : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = Emulator::start("s3_emulator.js", {"--region", "eu-central-1"}, &absent_); }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    if (!server_) GTEST_SKIP() << "s3: " << absent_;
    server_->control(
        R"({"faults":[],"deny":[],"lifetime":3600,"clock":0,"locked":false,"checksums":"checked","clear":true})");
    for (const char* name :
         {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
          "AWS_DEFAULT_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL",
          "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
          "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONFIG_FILE"})
      set(name, "");
    set("AWS_SHARED_CREDENTIALS_FILE", scratch_.path("none"));
    set("HOME", scratch_.path("home"));
  }

  void set(const char* name, const std::string& value) {
    variables_.push_back(std::make_unique<ScopedVariable>(name, value));
  }
  OpenOptions options() const {
    OpenOptions out;
    out.endpoint = server_->value("endpoint");
    out.s3_region = "eu-central-1";
    return out;
  }
  OpenOptions with_keys() const {
    OpenOptions out = options();
    out.s3_access_key = server_->value("access_key");
    out.s3_secret_key = server_->value("secret_key");
    return out;
  }
  std::unique_ptr<ObjectStore> open(const OpenOptions& how) {
    auto opened = store::open({"s3", server_->value("bucket"), ""}, how);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
  }
  std::unique_ptr<RetryingStore> retrying(const OpenOptions& how) {
    RetryPolicy policy;
    policy.sleep = [this](std::chrono::milliseconds time) { waits_.push_back(time); };
    return std::make_unique<RetryingStore>(open(how), policy);
  }
  /// Puts and reads something; the identity that it was done as.
  std::string works_as(ObjectStore& store) {
    const auto put = store.put("who/am-i", as_bytes("x"), {});
    EXPECT_TRUE(put) << put.error().message;
    EXPECT_EQ(store.get("who/am-i").value_or(""), "x");
    return store.identity();
  }

  static inline std::unique_ptr<Emulator> server_;
  static inline std::string absent_;
  ScratchFolder scratch_;
  std::vector<std::unique_ptr<ScopedVariable>> variables_;
  std::vector<std::chrono::milliseconds> waits_;
};

TEST_F(S3, SlowDownIsTriedAgainWhenItSays) {
  server_->control(R"({"faults":[{"match":"PUT .*slow","times":2,"status":503,"retry_after":3}]})");
  auto store = retrying(with_keys());
  const auto facts = store->put("slow", as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(store->retries(), 2u);
  for (const auto wait : waits_) EXPECT_GE(wait, std::chrono::seconds(3));
}

// Also when libcurl sends the request again by itself, as it does on a kept connection that ended without an answer.
TEST_F(S3, ALostAnswerIsNoConflict) {
  auto store = retrying(with_keys());
  for (const int times : {1, 2, 3}) {
    const std::string name = "lost" + std::to_string(times);
    server_->control(R"({"faults":[{"match":"PUT .*lost","times":)" + std::to_string(times) + R"(,"cut":"after"}]})");
    const auto facts = put_once(*store, name, as_bytes("content"), {});
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_EQ(store->get(name).value_or(""), "content");
  }
}

TEST_F(S3, AServerThatKnowsNoConditionsIsAskedWithout) {
  server_->control(R"({"faults":[{"match":"PUT .*/unconditional","status":501,"code":"NotImplemented","times":1}]})");
  const auto store = open(with_keys());
  PutOptions once;
  once.only_if_absent = true;
  ASSERT_TRUE(store->put("unconditional/a", as_bytes("first"), once));
  EXPECT_EQ(store->put("unconditional/a", as_bytes("second"), once).error().code, Code::kConflict) << "it looks itself";
  EXPECT_EQ(store->get("unconditional/a").value_or(""), "first");
  server_->control(
      R"({"faults":[{"match":"POST .*/unconditional/large.*uploadId","status":501,"code":"NotImplemented","times":1}]})");
  const auto another = open(with_keys());
  const std::string large = noise(17 << 20, 4);
  ASSERT_TRUE(another->put("unconditional/large", as_bytes(large), once));
  EXPECT_TRUE(another->get("unconditional/large").value_or("") == large);
}

/// What the requests with parts said of their bodies: hash or UNSIGNED-PAYLOAD, in their order.
std::vector<std::string> hashes_of_puts(const std::string& report) {
  static const std::regex line("PUT x-amz-content-sha256: ([^\"]*)");
  std::vector<std::string> out;
  for (std::sregex_iterator i(report.begin(), report.end(), line), end; i != end; ++i) out.push_back((*i)[1]);
  return out;
}
size_t unsigned_ones(const std::vector<std::string>& hashes) {
  return static_cast<size_t>(std::count(hashes.begin(), hashes.end(), "UNSIGNED-PAYLOAD"));
}

TEST_F(S3, PartsWhoseChecksumTheStoreHasShownToCheckGoWithoutAHash) {
  OpenOptions how = with_keys();
  how.s3_sign_payload = false;
  const auto store = open(how);
  const std::string large = noise(33 << 20, 4);
  ASSERT_TRUE(store->put("sums/a", as_bytes(large), {}));
  EXPECT_TRUE(store->get("sums/a").value_or("") == large);
  EXPECT_EQ(unsigned_ones(hashes_of_puts(server_->report())), 2U) << "of three: the first shows it";
  ASSERT_TRUE(store->put("sums/b", as_bytes(large), {}));
  EXPECT_EQ(unsigned_ones(hashes_of_puts(server_->report())), 5U);
}

TEST_F(S3, PartsThatGoInTheClearHaveTheirHashSigned) {
  const auto store = open(with_keys());
  const std::string large = noise(33 << 20, 4);
  ASSERT_TRUE(store->put("sums/clear", as_bytes(large), {}));
  EXPECT_EQ(hashes_of_puts(server_->report()).size(), 3U);
  EXPECT_EQ(unsigned_ones(hashes_of_puts(server_->report())), 0U);
}

TEST_F(S3, AStoreThatForgetsToCheckAPartGetsItSigned) {
  OpenOptions how = with_keys();
  how.s3_sign_payload = false;
  const auto store = open(how);
  ASSERT_TRUE(store->put("sums/shown", as_bytes(std::string_view("small")), {}));
  server_->control(R"({"checksums":"forgotten"})");
  const std::string large = noise(33 << 20, 4);
  ASSERT_TRUE(store->put("sums/forgotten", as_bytes(large), {}));
  EXPECT_TRUE(store->get("sums/forgotten").value_or("") == large);
  const auto hashes = hashes_of_puts(server_->report());
  ASSERT_EQ(hashes.size(), 5U) << "the small one; three parts, of which the first twice";
  EXPECT_EQ(hashes[1], "UNSIGNED-PAYLOAD");
  EXPECT_EQ(unsigned_ones(hashes), 1U);
}

TEST_F(S3, WhatIsLittleLongerThanAPartGoesInOneRequest) {
  PutOptions how;
  how.part_bytes = 32 << 20;
  how.only_if_absent = true;
  const std::string content = noise(35 << 20, 4), longer = noise(37 << 20, 5);
  const auto store = open(with_keys());
  ASSERT_TRUE(store->put_file("whole", scratch_.file("f", content), how));
  EXPECT_EQ(server_->requests("?uploads="), 0u);
  EXPECT_TRUE(store->get("whole").value_or("") == content);
  EXPECT_EQ(store->head("whole")->crc32c, crc32c(as_bytes(content)));
  ASSERT_TRUE(store->put_file("parts", scratch_.file("g", longer), how));
  EXPECT_EQ(server_->requests("partNumber="), 2u);
  how.crc32c = 1;
  const auto wrong = store->put_file("wrong", scratch_.file("f", content), how);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalid) << "what it says is looked at before anything is sent";
  EXPECT_FALSE(store->head("wrong"));
}

TEST_F(S3, OneRequestNeedsNoHashWhereTheStoreHasShownToCheckAChecksum) {
  OpenOptions how = with_keys();
  how.s3_sign_payload = false;
  const auto store = open(how);
  const std::string content = noise(9 << 20, 4);
  ASSERT_TRUE(store->put("sums/shown", as_bytes(std::string_view("small")), {}));
  ASSERT_TRUE(store->put("sums/trusted", as_bytes(content), {}));
  server_->control(R"({"checksums":"forgotten"})");
  ASSERT_TRUE(store->put("sums/unseen", as_bytes(content), {})) << "its ETag says what arrived";
  ASSERT_TRUE(store->put("sums/signed", as_bytes(content), {}));
  const auto hashes = hashes_of_puts(server_->report());
  ASSERT_EQ(hashes.size(), 4U);
  EXPECT_NE(hashes[0], "UNSIGNED-PAYLOAD");
  EXPECT_EQ(hashes[1], "UNSIGNED-PAYLOAD");
  EXPECT_EQ(hashes[2], "UNSIGNED-PAYLOAD");
  EXPECT_NE(hashes[3], "UNSIGNED-PAYLOAD");
  for (const char* name : {"sums/trusted", "sums/unseen", "sums/signed"})
    EXPECT_TRUE(store->get(name).value_or("") == content) << name;
}

TEST_F(S3, StoresThatKnowNoChecksumsAreAskedWithout) {
  const std::string large = noise(33 << 20, 4);
  for (const char* kind : {"unknown", "refused"}) {
    SCOPED_TRACE(kind);
    server_->control(std::string(R"({"clear":true,"checksums":")") + kind + R"("})");
    OpenOptions how = with_keys();
    how.s3_sign_payload = false;
    const auto store = open(how);
    PutOptions once;
    once.only_if_absent = true;
    for (const char* name : {"/one", "/two"}) {
      const auto put = store->put(kind + std::string(name), as_bytes(large), once);
      ASSERT_TRUE(put) << put.error().message;
      const auto small = store->put(kind + std::string(name) + "-small", as_bytes(std::string_view("small")), once);
      ASSERT_TRUE(small) << small.error().message;
      EXPECT_EQ(store->put(kind + std::string(name), as_bytes(large), once).error().code, Code::kConflict);
    }
    EXPECT_TRUE(store->get(kind + std::string("/two")).value_or("") == large);
    EXPECT_EQ(unsigned_ones(hashes_of_puts(server_->report())), 0U);
    EXPECT_EQ(server_->requests("?uploads="), std::string_view(kind) == "refused" ? 3U : 2U) << "asked with it once";
  }
}

TEST_F(S3, PartsHaveAnMd5WhereAnObjectLockAsksForIt) {
  server_->control(R"({"locked":true,"checksums":"unknown","clear":true})");
  const auto store = open(with_keys());
  const std::string large = noise(33 << 20, 4);
  ASSERT_TRUE(store->put("locked/large", as_bytes(large), {}));
  EXPECT_TRUE(store->get("locked/large").value_or("") == large);
  EXPECT_EQ(server_->requests("partNumber="), 4U) << "three, of which the first twice";
}

TEST_F(S3, ObjectsOfOneRequestHaveAnMd5ThereToo) {
  server_->control(R"({"locked":true,"checksums":"refused","clear":true})");
  const auto store = open(with_keys());
  const std::string content = noise(9 << 20, 4);
  for (const char* name : {"locked/one", "locked/two"}) {
    const auto put = store->put(name, as_bytes(content), {});
    ASSERT_TRUE(put) << put.error().message;
    EXPECT_TRUE(store->get(name).value_or("") == content);
  }
  EXPECT_EQ(server_->requests("PUT /baleen-test/locked/one"), 4U) << "with a checksum and without, twice";
  EXPECT_EQ(server_->requests("PUT /baleen-test/locked/two"), 1U) << "by then it is known";
}

/// With either kind of proof that a part is ours: its CRC32C, and its MD5 where the store keeps none.
class S3Resumed : public S3, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Checksums, S3Resumed, testing::Values("checked", "unknown"));

TEST_P(S3Resumed, AnUploadGoesOnInAnotherProcess) {
  const std::string content = noise((23 << 20) + 17, 3), path = scratch_.file("f", content);
  server_->control(std::string(R"({"checksums":")") + GetParam() + R"("})");
  server_->control(R"({"faults":[{"match":"PUT .*partNumber=4","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.part_bytes = 5 << 20;
  how.on_session = [&](const std::string& text) { session = text; };
  const auto cut = open(with_keys())->put_file("big", path, how);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::kUnavailable) << cut.error().message;
  ASSERT_NE(session, "");
  server_->control(R"({"faults":[],"clear":true})");

  how.session = session;
  uint64_t first = 0;
  how.on_progress = [&](uint64_t n) { first = first == 0 ? n : first; };
  auto later = open(with_keys());
  const auto facts = later->put_file("big", path, how);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(session, "") << "it is over";
  EXPECT_EQ(server_->requests("partNumber="), 2u) << "two parts were left";
  EXPECT_EQ(server_->requests("?uploads="), 0u) << "no other upload";
  EXPECT_TRUE(later->get("big").value_or("") == content);
  EXPECT_EQ(later->head("big")->crc32c, crc32c(as_bytes(content)));
}

TEST_F(S3, APartOfAnotherFileIsNotTaken) {
  const std::string first = noise(18 << 20, 4), second = noise(18 << 20, 5);
  server_->control(R"({"faults":[{"match":"PUT .*partNumber=3","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.part_bytes = 5 << 20;
  how.on_session = [&](const std::string& text) { session = text; };
  auto store = open(with_keys());
  ASSERT_FALSE(store->put_file("mixed", scratch_.file("one", first), how));
  server_->control(R"({"faults":[]})");
  how.session = session;
  const auto facts = store->put_file("mixed", scratch_.file("two", second), how);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(store->get("mixed").value_or("") == second);
}

TEST_F(S3, AForgottenUploadBeginsAnew) {
  const std::string content = noise(18 << 20, 6), path = scratch_.file("f", content);
  server_->control(R"({"faults":[{"match":"PUT .*partNumber=2","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.on_session = [&](const std::string& text) { session = text; };
  auto store = open(with_keys());
  ASSERT_FALSE(store->put_file("forgotten", path, how));
  server_->control(R"({"faults":[{"match":"GET .*uploadId","times":1,"status":404,"code":"NoSuchUpload"}]})");
  how.session = session;
  const auto facts = store->put_file("forgotten", path, how);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(store->get("forgotten").value_or("") == content);
}

TEST_F(S3, ACompletionWhoseAnswerWasLostIsFound) {
  const std::string content = noise(18 << 20, 9), path = scratch_.file("f", content);
  server_->control(R"({"faults":[{"match":"POST .*uploadId","times":1,"cut":"after"}]})");
  auto store = retrying(with_keys());
  PutOptions once;
  once.only_if_absent = true;
  const auto facts = store->put_file("complete", path, once);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(server_->requests("partNumber="), 2u) << "nothing was sent twice";
}

TEST_F(S3, WhatIsFinalTakesTheUploadBack) {
  server_->control(R"({"faults":[{"match":"PUT .*partNumber=2","times":1,"status":403,"code":"AccessDenied"}]})");
  std::string session = "unset";
  PutOptions how;
  how.on_session = [&](const std::string& text) { session = text; };
  const auto facts = open(with_keys())->put_file("denied", scratch_.file("f", noise(18 << 20, 2)), how);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Code::kDenied);
  EXPECT_EQ(server_->requests("DELETE /baleen-test/denied?uploadId="), 1u);
  EXPECT_EQ(session, "");
}

TEST_F(S3, TheBucketsRegionIsFound) {
  OpenOptions elsewhere = with_keys();
  elsewhere.s3_region = "us-west-2";
  auto store = open(elsewhere);
  works_as(*store);
  EXPECT_EQ(server_->report().find("AuthorizationHeaderMalformed"),
            server_->report().rfind("AuthorizationHeaderMalformed"))
      << "refused once only";
}

TEST_F(S3, AWrongClockIsFoundAndMadeUpFor) {
  OpenOptions fast = with_keys();
  fast.now = [] { return baleen::now() + std::chrono::hours(2); };
  auto store = open(fast);
  works_as(*store);
  ASSERT_TRUE(store->clock_skew());
  EXPECT_NEAR(static_cast<double>(store->clock_skew()->count()), -7200, 5);
}

TEST_F(S3, RefusalsSayWhoAndWhat) {
  server_->control(R"({"deny":["s3:PutObject","s3:ListBucket"]})");
  auto store = open(with_keys());
  EXPECT_THAT(store->put("x", as_bytes("x"), {}).error().message, HasSubstr("lacks the permission s3:PutObject"));
  EXPECT_THAT(store->list({}).error().message, HasSubstr("lacks the permission s3:ListBucket"));
  OpenOptions wrong = with_keys();
  wrong.s3_secret_key = "not-it";
  const auto refused = open(wrong)->put("x", as_bytes("x"), {});
  EXPECT_EQ(refused.error().code, Code::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("the secret key is not the one"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("not-it")));
}

TEST_F(S3, ACheckNamesEachMissingPermission) {
  const Location location{"s3", server_->value("bucket"), "p"};
  const struct {
    const char *deny, *step;
    bool usable;
  } table[] = {{"s3:ListBucket", "list", false},
               {"s3:PutObject", "create", false},
               {"s3:GetObject", "read", false},
               {"s3:DeleteObject", "remove", true}};
  for (const auto& row : table) {
    SCOPED_TRACE(row.deny);
    server_->control(std::string(R"({"deny":[")") + row.deny + R"("]})");
    const CheckReport report = check(*open(with_keys()), location);
    EXPECT_THAT(report.missing(), testing::ElementsAre(row.deny));
    EXPECT_EQ(report.usable(), row.usable);
    EXPECT_FALSE(report.all_ok());
    EXPECT_EQ(report.left_over.empty(), std::string_view(row.step) != "remove");
    ASSERT_FALSE(report.advice(location).empty());
    EXPECT_THAT(report.advice(location)[0], HasSubstr(row.deny));
    for (const CheckStep& step : report.steps)
      if (step.name == row.step) {
        EXPECT_EQ(step.outcome, CheckStep::Outcome::kDenied) << step.message;
      }
  }
  server_->control(R"({"deny":[],"clock":-900})");
  const CheckReport skewed = check(*open(with_keys()), location);
  EXPECT_TRUE(skewed.all_ok()) << "it is made up for";
  ASSERT_TRUE(skewed.clock_skew);
  EXPECT_NEAR(static_cast<double>(skewed.clock_skew->count()), -900, 5);
  ASSERT_FALSE(skewed.advice(location).empty());
  EXPECT_THAT(skewed.advice(location)[0], HasSubstr("clock"));
}

TEST_F(S3, KeysOfTheEnvironment) {
  set("AWS_ACCESS_KEY_ID", server_->value("access_key"));
  set("AWS_SECRET_ACCESS_KEY", server_->value("secret_key"));
  EXPECT_THAT(works_as(*open(options())), HasSubstr("(environment)"));
}

TEST_F(S3, KeysOfAProfile) {
  set("AWS_SHARED_CREDENTIALS_FILE",
      scratch_.file("credentials", "[mine]\naws_access_key_id=" + server_->value("access_key") +
                                       "\naws_secret_access_key=" + server_->value("secret_key") + "\n"));
  OpenOptions how = options();
  how.s3_profile = "mine";
  EXPECT_THAT(works_as(*open(how)), HasSubstr("profile mine"));
  how.s3_profile = "yours";
  const auto none = store::open({"s3", "b", ""}, how);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no profile \"yours\""));
}

TEST_F(S3, ProfilesThatLeadInACircleEnd) {
  set("AWS_CONFIG_FILE", scratch_.file("config",
                                       "[profile a]\nrole_arn=r\nsource_profile=b\n[profile b]\nrole_arn=r\n"
                                       "source_profile=a\n"));
  set("AWS_PROFILE", "a");
  const auto none = store::open({"s3", "b", ""}, options());
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("circle"));
}

TEST_F(S3, ARoleIsAssumed) {
  set("AWS_ENDPOINT_URL_STS", server_->value("endpoint"));
  OpenOptions how = with_keys();
  how.s3_role_arn = "arn:aws:iam::123456789012:role/recorder";
  how.s3_external_id = "an external id";
  EXPECT_THAT(works_as(*open(how)), HasSubstr("role arn:aws:iam::123456789012:role/recorder"));
  how.s3_external_id = "another";
  const auto refused = open(how)->put("x", as_bytes("x"), {});
  EXPECT_EQ(refused.error().code, Code::kDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("sts:AssumeRole"));
}

TEST_F(S3, AWebIdentity) {
  set("AWS_ENDPOINT_URL_STS", server_->value("endpoint"));
  set("AWS_WEB_IDENTITY_TOKEN_FILE", scratch_.file("token", "a web identity\n"));
  set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
  auto store = open(options());
  EXPECT_THAT(works_as(*store), HasSubstr("role/pod (web identity"));
  scratch_.file("token", "a stale one");
  server_->control(R"({"expire":true})");
  const auto refused = store->put("x", as_bytes("x"), {});
  EXPECT_THAT(refused.error().message, HasSubstr("InvalidIdentityToken"));
}

TEST_F(S3, TemporaryKeysAreRenewed) {
  set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_->value("endpoint"));
  auto store = open(options());
  EXPECT_THAT(works_as(*store), HasSubstr("metadata service"));
  const size_t before = server_->requests("security-credentials/a-role");
  server_->control(R"({"expire":true})");
  works_as(*store);
  EXPECT_EQ(server_->requests("security-credentials/a-role"), before + 1) << "once, when they were refused";
}

TEST_F(S3, KeysThatExpireBeforeALookAreRenewed) {
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_->value("endpoint") + "/container");
  set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a container token");
  const auto store = open(options());
  works_as(*store);
  server_->control(R"({"expire":true})");
  const auto facts = store->head("who/am-i");  // refused by 400 without a word: HEAD has no body
  ASSERT_TRUE(facts) << facts.error().message;
  server_->control(R"({"faults":[{"match":"^HEAD ","status":400}]})");
  EXPECT_EQ(store->head("who/am-i").error().code, Code::kDenied) << "and is not final";
}

TEST_F(S3, KeysThatEndSoonAreUsedForHalfTheirLife) {
  server_->control(R"({"lifetime":100})");
  set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server_->value("endpoint"));
  auto ahead = std::make_shared<std::chrono::seconds>(0);
  OpenOptions how = options();
  how.now = [ahead] { return baleen::now() + *ahead; };
  auto store = open(how);
  works_as(*store);
  EXPECT_EQ(server_->requests("security-credentials/a-role"), 1u) << "not for each request";
  *ahead = std::chrono::seconds(60);
  works_as(*store);
  EXPECT_EQ(server_->requests("security-credentials/a-role"), 2u);
}

TEST_F(S3, TheContainersRole) {
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_->value("endpoint") + "/container");
  set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a container token");
  EXPECT_THAT(works_as(*open(options())), HasSubstr("container's role"));
  set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/elsewhere");
  const auto far = store::open({"s3", "b", ""}, options());
  ASSERT_FALSE(far);
  EXPECT_EQ(far.error().code, Code::kDenied) << "a token does not go there in the clear";
}

TEST_F(S3, NoCredentialsAtAll) {
  set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
  const auto refused = open(options())->put("x", as_bytes("x"), {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no credentials were given or found"));
}

TEST_F(S3, HalfAPairOfKeysIsSaid) {
  OpenOptions half = options();
  half.s3_access_key = "A";
  const auto none = store::open({"s3", "b", ""}, half);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalid);
}

}  // namespace
}  // namespace baleen::store::s3
