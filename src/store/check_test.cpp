// `store check` names exactly what is missing: servers that refuse one thing each. (S3's policies: s3/s3_test.cpp.)

#include "store/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "store/harness.h"

namespace baleen::store {
namespace {

struct Denial {
  const char *match, *missing;  // requests that are answered by 403; what the page shall name
  bool usable;
};

class CheckDenials : public testing::Test {
 protected:
  void runs(const Location& location, const OpenOptions& options, const Emulator& server,
            const std::vector<Denial>& denials) {
    for (const Denial& denial : denials) {
      SCOPED_TRACE(denial.missing);
      server.control(std::string(R"({"faults":[{"match":")") + denial.match +
                     R"(","status":403,"code":"AuthorizationPermissionMismatch"}]})");
      const auto store = open(location, options);
      ASSERT_TRUE(store) << store.error().message;
      const CheckReport report = check(**store, location);
      EXPECT_THAT(report.missing(), testing::ElementsAre(denial.missing));
      EXPECT_EQ(report.usable(), denial.usable);
      EXPECT_FALSE(report.all_ok());
      EXPECT_FALSE(report.advice(location).empty());
      server.control(R"({"faults":[]})");
      if (!report.left_over.empty()) {
        EXPECT_TRUE((*store)->remove(report.left_over));
      }
    }
    const auto store = open(location, options);
    ASSERT_TRUE(store);
    EXPECT_TRUE(check(**store, location).all_ok()) << "and nothing is missing when nothing is refused";
  }
  ScratchFolder scratch_;
  std::string absent_;
};

TEST_F(CheckDenials, OfCloudStorage) {
  const auto server = Emulator::start("gcs_emulator.js", {"--key", scratch_.path("key.json")}, &absent_);
  if (!server) GTEST_SKIP() << "gs: " << absent_;
  std::ifstream key(scratch_.path("key.json"));
  OpenOptions options;
  options.endpoint = server->value("endpoint");
  options.gcs_service_account_json.assign(std::istreambuf_iterator<char>(key), {});
  runs({"gs", "bucket", "p"}, options, *server,
       {{"^GET /storage/v1/b/[^/]+/o[?]", "storage.objects.list", false},
        {"^POST /upload/", "storage.objects.create", false},
        {"^GET /storage/v1/b/[^/]+/o/", "storage.objects.get", false},
        {"^DELETE ", "storage.objects.delete", true}});
}

/// Who is not known lacks no permission: nobody shall be sent to change a policy for a wrong key.
TEST_F(CheckDenials, AreOfPermissionsOnlyWhereTheIdentityIsKnown) {
  const auto s3 = Emulator::start("s3_emulator.js", {}, &absent_);
  const auto azure = Emulator::start("azure_emulator.js", {}, &absent_);
  if (!s3 || !azure) GTEST_SKIP() << absent_;
  OpenOptions wrong;
  wrong.endpoint = s3->value("endpoint");
  wrong.s3_region = s3->value("region");
  wrong.s3_access_key = s3->value("access_key");
  wrong.s3_secret_key = "not the secret";
  OpenOptions other;
  other.endpoint = azure->value("endpoint");
  other.azure_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
  const std::pair<Location, OpenOptions> cases[] = {
      {{"s3", s3->value("bucket"), "p"}, wrong},
      {{"azblob", azure->value("account") + "/" + azure->value("container"), "p"}, other}};
  for (const auto& [location, options] : cases) {
    const auto store = open(location, options);
    ASSERT_TRUE(store) << store.error().message;
    const CheckReport report = check(**store, location);
    EXPECT_FALSE(report.usable());
    EXPECT_TRUE(report.unauthenticated()) << location.scheme;
    EXPECT_THAT(report.missing(), testing::IsEmpty());
    EXPECT_THAT(report.advice(location), testing::Contains(testing::HasSubstr("credentials themselves")));
  }
}

TEST_F(CheckDenials, OfAzure) {
  const auto server = Emulator::start("azure_emulator.js", {}, &absent_);
  if (!server) GTEST_SKIP() << "azblob: " << absent_;
  OpenOptions options;
  options.endpoint = server->value("endpoint");
  options.azure_key = server->value("key");
  const std::string blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/";
  const std::string read = blobs + "read", write = blobs + "write", remove = blobs + "delete";
  runs({"azblob", server->value("account") + "/" + server->value("container"), "p"}, options, *server,
       {{"^GET .*comp=list", read.c_str(), false},
        {"^PUT ", write.c_str(), false},
        {"^(GET|HEAD) .*baleen-check", read.c_str(), false},
        {"^DELETE ", remove.c_str(), true}});
}

}  // namespace
}  // namespace baleen::store
