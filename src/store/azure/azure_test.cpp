// What the contract does not tell of Azure: faults, blocks that are there already, signatures, tokens and clocks.
// Against Azurite, which verifies keys and signatures itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "store/azure/answers.h"
#include "store/azure/credentials.h"
#include "store/harness.h"
#include "store/retrying_store.h"

namespace baleen::store::azure {
namespace {

using testing::HasSubstr;
using testing::Not;

// The example of "Authorize with Shared Key" (Get Container Metadata).
TEST(AzureSignature, TheDocumentedStringToSign) {
  io::HttpRequest request;
  request.url = "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20";
  request.headers = {{"x-ms-version", "2015-02-21"}, {"x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"}};
  EXPECT_EQ(string_to_sign(request, "myaccount"),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
            "/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20");
}

TEST(AzureSignature, BodiesAndOddQueries) {
  io::HttpRequest request{.method = "PUT", .url = "http://h/acc/c/a%20b?Comp=b&x=%26&comp=a"};
  const std::string body = "12345";
  request.body = as_bytes(body);
  request.headers = {
      {"Content-Type", "text/plain"}, {"Content-MD5", "m"}, {"If-None-Match", "*"}, {"X-MS-Meta-A", " v "}};
  EXPECT_EQ(string_to_sign(request, "acc"),
            "PUT\n\n\n5\nm\ntext/plain\n\n\n\n*\n\n\nx-ms-meta-a:v\n/acc/acc/c/a%20b\ncomp:a,b\nx:&");
}

TEST(AzureAnswers, ARefusalIsADecision) {
  const struct {
    int status;
    const char* code;
    Code expected;
  } table[] = {
      {503, "ServerBusy", Code::kUnavailable},
      {500, "OperationTimedOut", Code::kTimeout},
      {400, "Md5Mismatch", Code::kUnavailable},
      {403, "AuthenticationFailed", Code::kDenied},
      {403, "AuthorizationPermissionMismatch", Code::kDenied},
      {404, "BlobNotFound", Code::kNotFound},
      {404, "ContainerNotFound", Code::kNotFound},
      {409, "BlobAlreadyExists", Code::kConflict},
      {409, "ContainerBeingDeleted", Code::kUnavailable},
      {412, "ConditionNotMet", Code::kConflict},
      {412, "LeaseIdMissing", Code::kDenied},
      {429, "TooManyRequests", Code::kUnavailable},
  };
  for (const auto& row : table) {
    io::HttpAnswer answer;
    answer.status = row.status;
    answer.headers = {{"x-ms-error-code", row.code}};
    EXPECT_EQ(error_of(answer, "x", "write", "who").code, row.expected) << row.code;
    answer.headers.clear();
    answer.body = std::string("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>") + row.code +
                  "</Code><Message>m\nRequestId:1</Message></Error>";
    EXPECT_EQ(error_of(answer, "x", "write", "who").code, row.expected) << row.code << " in the body";
    EXPECT_THAT(error_of(answer, "x", "write", "who").message, Not(HasSubstr("RequestId")));
  }
}

TEST(AzureAnswers, ListsAreReadWithoutTrust) {
  const auto page = parse_list(
      "\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" "
      "ContainerName=\"c\"><Blobs><Blob><Name>a &amp; b</Name><Properties><Last-Modified>Fri, 26 Jun 2015 23:39:12 "
      "GMT</Last-Modified><Etag>0x8D</Etag><Content-Length>7</Content-Length></Properties></Blob><BlobPrefix>"
      "<Name>p/</Name></BlobPrefix></Blobs><NextMarker>n</NextMarker></EnumerationResults>");
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->objects.size(), 1u);
  EXPECT_EQ(page->objects[0].key, "a & b");
  EXPECT_EQ(page->objects[0].size, 7u);
  EXPECT_EQ(to_ns(page->objects[0].modified) / 1'000'000'000, 1435361952);
  EXPECT_THAT(page->prefixes, testing::ElementsAre("p/"));
  EXPECT_EQ(page->next_page_token, "n");
  for (const char* wrong : {"", "<Other/>", "<EnumerationResults/>",
                            "<EnumerationResults><Blobs><Blob><Name>x</Name></Blob></Blobs></EnumerationResults>"})
    EXPECT_FALSE(parse_list(wrong)) << wrong;
}

/// One emulator for all tests; each resets it.
class Azure : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = Emulator::start("azure_emulator.js", {}, &absent_); }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    if (!server_) GTEST_SKIP() << "azblob: " << absent_;
    server_->control(R"({"faults":[],"clock":0,"clear":true})");
    for (const char* name :
         {"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING",
          "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE",
          "AZURE_AUTHORITY_HOST", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"})
      set(name, "");
  }
  void set(const char* name, const std::string& value) {
    variables_.push_back(std::make_unique<ScopedVariable>(name, value));
  }
  OpenOptions options() const {
    OpenOptions out;
    out.endpoint = server_->value("endpoint");
    return out;
  }
  OpenOptions with_key() const {
    OpenOptions out = options();
    out.azure_key = server_->value("key");
    return out;
  }
  std::unique_ptr<ObjectStore> open(const OpenOptions& how) {
    auto opened = store::open({"azblob", server_->value("account") + "/" + server_->value("container"), ""}, how);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *std::move(opened) : nullptr;
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
};

TEST_F(Azure, AnUploadGoesOnInAnotherProcess) {
  const std::string content = noise((18 << 20) + 17, 3), path = scratch_.file("f", content);
  server_->control(R"({"faults":[{"match":"PUT .*comp=block&","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.part_bytes = 5 << 20;
  how.on_session = [&](const std::string& text) { session = text; };
  ASSERT_FALSE(open(with_key())->put_file("big", path, how)) << "nothing arrived";
  // All blocks arrive, their list does not.
  server_->control(R"({"faults":[{"match":"PUT .*comp=blocklist","cut":"before"}],"clear":true})");
  const auto cut = open(with_key())->put_file("big", path, how);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::kUnavailable) << cut.error().message;
  ASSERT_NE(session, "");
  server_->control(R"({"faults":[],"clear":true})");

  how.session = session;
  how.part_bytes = 7 << 20;  // the session's word goes before ours
  auto later = open(with_key());
  const auto facts = later->put_file("big", path, how);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(session, "") << "it is over";
  EXPECT_EQ(server_->requests("comp=block&"), 0u) << "no block was sent twice";
  EXPECT_TRUE(later->get("big").value_or("") == content);
  EXPECT_EQ(later->head("big")->crc32c, crc32c(as_bytes(content)));
}

TEST_F(Azure, ABlockOfAnotherFileIsNotTaken) {
  const std::string first = noise(18 << 20, 4), second = noise(18 << 20, 5);
  server_->control(R"({"faults":[{"match":"PUT .*comp=blocklist","cut":"before"}]})");
  std::string session;
  PutOptions how;
  how.on_session = [&](const std::string& text) { session = text; };
  auto store = open(with_key());
  ASSERT_FALSE(store->put_file("mixed", scratch_.file("one", first), how));
  server_->control(R"({"faults":[]})");
  how.session = session;
  const auto facts = store->put_file("mixed", scratch_.file("two", second), how);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(store->get("mixed").value_or("") == second);
}

TEST_F(Azure, ServerBusyIsTriedAgainWhenItSays) {
  std::vector<std::chrono::milliseconds> waits;
  RetryPolicy policy;
  policy.sleep = [&](std::chrono::milliseconds time) { waits.push_back(time); };
  RetryingStore store(open(with_key()), policy);
  server_->control(R"({"faults":[{"match":"PUT .*busy","times":2,"status":503,"retry_after":3}]})");
  const auto facts = store.put("busy", as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
  ASSERT_EQ(waits.size(), 2u);
  for (const auto wait : waits) EXPECT_GE(wait, std::chrono::seconds(3));
}

TEST_F(Azure, ALostAnswerIsNoConflict) {
  RetryPolicy policy;
  policy.sleep = [](std::chrono::milliseconds) {};
  RetryingStore store(open(with_key()), policy);
  server_->control(R"({"faults":[{"match":"PUT .*lost","times":1,"cut":"after"}]})");
  const auto facts = put_once(store, "lost", as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
}

TEST_F(Azure, ASignature) {
  OpenOptions how = options();
  how.azure_sas = "?" + server_->value("sas");
  EXPECT_THAT(works_as(*open(how)), HasSubstr("shared access signature"));
  EXPECT_THAT(open(how)->identity(), Not(HasSubstr("sig=")));
  how.azure_sas = server_->value("read_only_sas");
  auto reader = open(how);
  EXPECT_EQ(reader->get("who/am-i").value_or(""), "x");
  const auto refused = reader->put("who/else", as_bytes("x"), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kDenied) << refused.error().message;
  EXPECT_THAT(refused.error().message, HasSubstr("blobs/write"));
  EXPECT_THAT(refused.error().message, Not(HasSubstr("sig=")));
}

TEST_F(Azure, AWrongKeyIsSaid) {
  OpenOptions how = options();
  how.azure_key = "bm90IGl0";
  const auto refused = open(how)->put("x", as_bytes("x"), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kDenied) << refused.error().message;
  EXPECT_THAT(refused.error().message, Not(HasSubstr("bm90")));
  how.azure_key = "not base64!";
  const auto none = store::open({"azblob", "a/c", ""}, how);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalid);
}

TEST_F(Azure, AConnectionString) {
  set("AZURE_STORAGE_CONNECTION_STRING", "DefaultEndpointsProtocol=http;AccountName=" + server_->value("account") +
                                             ";AccountKey=" + server_->value("key") +
                                             ";BlobEndpoint=" + server_->value("endpoint") + ";");
  auto opened = store::open({"azblob", server_->value("container"), ""});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_THAT(works_as(**opened), HasSubstr("(environment)"));
  const auto other = store::open({"azblob", "another/c", ""});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("for account"));
}

TEST_F(Azure, WorkloadIdentity) {
  set("AZURE_AUTHORITY_HOST", server_->value("identity") + "/");
  set("AZURE_TENANT_ID", "a-tenant");
  set("AZURE_CLIENT_ID", "a-client");
  set("AZURE_FEDERATED_TOKEN_FILE", scratch_.file("token", "a federated token\n"));
  auto store = open(options());
  EXPECT_THAT(works_as(*store), HasSubstr("workload identity a-client"));
  EXPECT_EQ(server_->requests("oauth2/v2.0/token"), 1u);
  server_->control(R"({"revoke":true})");
  works_as(*store);
  EXPECT_EQ(server_->requests("oauth2/v2.0/token"), 2u) << "a new one when it was refused";
  scratch_.file("token", "another");
  server_->control(R"({"revoke":true})");
  EXPECT_THAT(store->put("x", as_bytes("x"), {}).error().message, HasSubstr("AADSTS7000215"));
}

TEST_F(Azure, AClientsSecret) {
  set("AZURE_AUTHORITY_HOST", server_->value("identity"));
  set("AZURE_TENANT_ID", "a-tenant");
  set("AZURE_CLIENT_ID", "a-client");
  set("AZURE_CLIENT_SECRET", "a secret");
  EXPECT_THAT(works_as(*open(options())), HasSubstr("application a-client"));
}

TEST_F(Azure, ManagedIdentity) {
  set("AZURE_POD_IDENTITY_AUTHORITY_HOST", server_->value("identity"));
  EXPECT_THAT(works_as(*open(options())), HasSubstr("managed identity"));
}

TEST_F(Azure, AWrongClockIsFoundAndMadeUpFor) {
  OpenOptions fast = with_key();
  fast.now = [] { return baleen::now() + std::chrono::hours(2); };
  auto store = open(fast);
  works_as(*store);
  ASSERT_TRUE(store->clock_skew());
  EXPECT_NEAR(static_cast<double>(store->clock_skew()->count()), -7200, 5);
}

TEST_F(Azure, NoAccountIsSaid) {
  const auto none = store::open({"azblob", "container", ""}, with_key());
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("azblob://container@account"));
}

}  // namespace
}  // namespace baleen::store::azure
