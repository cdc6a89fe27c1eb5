#include "worker/stores.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "io/crypto.h"

namespace baleen::worker {
namespace {

/// Files with secrets, gone with the test.
class Stores : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name) << content;
    return folder_ + "/" + name;
  }
  static Result<store::OpenOptions> options(const std::vector<std::string>& sets, const std::string& url) {
    const LoadedConfig loaded = parse_config("", sets);
    for (const ConfigProblem& problem : loaded.problems) ADD_FAILURE() << render(problem, "");
    return open_options(loaded.config, *store::Location::parse(url));
  }
  const std::string folder_ =
      (std::filesystem::temp_directory_path() / ("baleen-stores-" + std::to_string(::getpid()))).string();
};

TEST_F(Stores, EveryKindTakesItsOwnKeys) {
  const std::vector<std::string> sets{"gcs.serviceAccountKeyFile=" + file("gcs", "{}\n"),
                                      "gcs.userProject=payer",
                                      "gcs.storageClass=NEARLINE",
                                      "gcs.kmsKeyName=a/key",
                                      "s3.region=eu-central-1",
                                      "s3.endpoint=http://127.0.0.1:9000",
                                      "s3.pathStyle=false",
                                      "s3.signPayload=false",
                                      "s3.accessKey=AKIA",
                                      "s3.secretKeyFile=" + file("secret", "hush\n"),
                                      "s3.sessionTokenFile=" + file("token", "more\n"),
                                      "s3.requesterPays=true",
                                      "s3.encryption=aws:kms",
                                      "azblob.account=acc",
                                      "azblob.keyFile=" + file("key", "a2V5\n"),
                                      "azblob.accessTier=Cool",
                                      "azblob.encryptionScope=scope",
                                      "store.proxy=http://proxy:3128",
                                      "store.caFile=/etc/ca.pem",
                                      "store.idleTimeout=30s",
                                      "store.requestTimeout=5m",
                                      "store.metadata.team=net",
                                      "store.tags.cost=7"};
  const auto gs = options(sets, "gs://b/p");
  ASSERT_TRUE(gs) << gs.error().message;
  EXPECT_EQ(gs->gcs_service_account_json, "{}");
  EXPECT_EQ(gs->gcs_user_project, "payer");
  EXPECT_EQ(gs->objects.storage_class, "NEARLINE");
  EXPECT_EQ(gs->objects.encryption_key_name, "a/key");
  EXPECT_EQ(gs->objects.metadata.at("team"), "net");
  EXPECT_TRUE(gs->objects.tags.empty()) << "Cloud Storage has none";
  EXPECT_EQ(gs->endpoint, "");
  EXPECT_EQ(gs->s3_secret_key, "") << "nobody else's secrets";

  const auto s3 = options(sets, "s3://b/p");
  ASSERT_TRUE(s3) << s3.error().message;
  EXPECT_EQ(s3->endpoint, "http://127.0.0.1:9000");
  EXPECT_EQ(s3->s3_path_style, false);
  EXPECT_EQ(s3->s3_sign_payload, false);
  EXPECT_EQ(s3->s3_secret_key, "hush");
  EXPECT_EQ(s3->s3_session_token, "more");
  EXPECT_TRUE(s3->s3_requester_pays);
  EXPECT_EQ(s3->objects.encryption_key_name, "aws:kms");
  EXPECT_EQ(s3->objects.tags.at("cost"), "7");
  EXPECT_EQ(s3->objects.idle_timeout, std::chrono::seconds(30));
  EXPECT_EQ(s3->objects.request_timeout, std::chrono::minutes(5));
  EXPECT_EQ(s3->proxy, "http://proxy:3128");
  EXPECT_EQ(s3->ca_file, "/etc/ca.pem");

  const auto azure = options(sets, "azblob://c/p");
  ASSERT_TRUE(azure) << azure.error().message;
  EXPECT_EQ(azure->azure_account, "acc");
  EXPECT_EQ(azure->azure_key, "a2V5");
  EXPECT_EQ(azure->objects.storage_class, "Cool");
  EXPECT_EQ(azure->objects.encryption_key_name, "scope");
}

TEST_F(Stores, WithoutKeysTheStoresLookForThemselves) {
  const auto s3 = options({}, "s3://b/p");
  ASSERT_TRUE(s3) << s3.error().message;
  EXPECT_FALSE(s3->s3_path_style.has_value());
  EXPECT_FALSE(s3->s3_sign_payload.has_value());
  EXPECT_EQ(s3->objects.idle_timeout, std::chrono::seconds(60));
  EXPECT_EQ(s3->objects.request_timeout.count(), 0);
  EXPECT_TRUE(open_options(Config(), *store::Location::parse("s3://b"))) << "no configuration at all";
}

TEST_F(Stores, AMissingOrWrongSecretNamesItsKey) {
  const auto missing = options({"s3.secretKeyFile=" + folder_ + "/none"}, "s3://b/p");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("s3.secretKeyFile"), std::string::npos) << missing.error().message;
  EXPECT_FALSE(options({"azblob.sasFile=" + file("empty", "\n")}, "azblob://c/p"));
  const auto key = options({"gcs.customerKeyFile=" + file("short", "c2hvcnQ=")}, "gs://b");
  ASSERT_FALSE(key);
  EXPECT_NE(key.error().message.find("gcs.customerKeyFile"), std::string::npos) << key.error().message;
  EXPECT_EQ(key.error().message.find("c2hvcnQ"), std::string::npos) << "never the secret";
  const std::string bytes(32, 'k');
  const auto good = options({"gcs.customerKeyFile=" + file("good", io::base64(as_bytes(bytes)) + "\n")}, "gs://b");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->objects.customer_key, bytes);
  EXPECT_FALSE(parse_config("s3: {pathStyle: sometimes}").ok());
  EXPECT_FALSE(parse_config("s3: {signPayload: maybe}").ok());
}

TEST_F(Stores, AProxysPasswordIsNotShown) {
  const auto loaded = parse_config("store: {proxy: 'http://user:hush@proxy:3128'}");
  EXPECT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.yaml.find("hush"), std::string::npos);
  EXPECT_EQ(loaded.config.stores.proxy, "http://user:hush@proxy:3128");
}

}  // namespace
}  // namespace baleen::worker
