// One test for all stores: what the contract says, each store has to do, at a real server of its kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/crc32c.h"
#include "io/byte_source.h"
#include "store/check.h"
#include "store/harness.h"
#include "store/json.h"
#include "store/retrying_store.h"

namespace baleen::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// A kind of store with its server, which all tests of the kind share.
struct Kind {
  std::string name;
  std::string script;  // of test/emulators; empty: needs no server
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class Conformance : public testing::TestWithParam<Kind> {
 protected:
  static void TearDownTestSuite() { servers().clear(); }

  void SetUp() override {
    std::vector<std::string> arguments;
    if (GetParam().name == "gs") arguments = {"--key", scratch().path("key.json")};
    if (GetParam().name == "ceph" && !ceph())
      GTEST_SKIP() << "ceph: BALEEN_CEPH names no server; test/emulators/radosgw_test.py runs these with one";
    if (!GetParam().script.empty() && !servers().contains(GetParam().name)) {
      std::string absent;
      auto server = Emulator::start(GetParam().script, arguments, &absent);
      if (!server) GTEST_SKIP() << GetParam().name << ": " << absent;
      servers()[GetParam().name] = std::move(server);
    }
    auto opened = open_store();
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = *std::move(opened);
    static int number = 0;
    prefix_ = "t" + std::to_string(++number) + "/";
  }

  Result<std::unique_ptr<ObjectStore>> open_store(OpenOptions options = {}) {
    const std::string& name = GetParam().name;
    if (name == "file") return store::open({"file", "", scratch().path("bucket")}, options);
    if (name == "ceph") {
      options.endpoint = (*ceph())["endpoint"];
      options.s3_access_key = (*ceph())["access_key"];
      options.s3_secret_key = (*ceph())["secret_key"];
      return store::open({"s3", (*ceph())["bucket"], ""}, options);
    }
    const Emulator& server = *servers().at(name);
    options.endpoint = server.value("endpoint");
    if (name == "gs") {
      options.gcs_service_account_json = read_whole(scratch().path("key.json"));
      return store::open({"gs", "baleen-test.appspot.com", ""}, options);
    }
    if (name == "azblob") {
      options.azure_key = server.value("key");
      return store::open({"azblob", server.value("account") + "/" + server.value("container"), ""}, options);
    }
    options.s3_access_key = server.value("access_key");
    options.s3_secret_key = server.value("secret_key");
    return store::open({"s3", server.value("bucket"), ""}, options);
  }

  std::string key(const std::string& name) const { return prefix_ + name; }
  Result<ObjectFacts> put(const std::string& name, std::string_view content, PutOptions options = {}) {
    return store_->put(key(name), as_bytes(content), options);
  }
  /// All pages; keys without the prefix, common prefixes with a slash at their end.
  std::vector<std::string> list(ListOptions options) {
    std::vector<std::string> out;
    options.prefix = prefix_ + options.prefix;
    if (!options.start_offset.empty()) options.start_offset = prefix_ + options.start_offset;
    for (int pages = 0; pages < 100; ++pages) {
      const auto page = store_->list(options);
      EXPECT_TRUE(page) << page.error().message;
      if (!page) return out;
      for (const ObjectFacts& object : page->objects) out.push_back(object.key.substr(prefix_.size()));
      for (const std::string& prefix : page->prefixes) out.push_back(prefix.substr(prefix_.size()));
      options.page_token = page->next_page_token;
      if (options.page_token.empty()) return out;
    }
    ADD_FAILURE() << "the pages have no end";
    return out;
  }

  /// What the cluster's starter said of it; it takes long to start, so it is shared by processes.
  static std::optional<nlohmann::json> ceph() {
    const char* text = std::getenv("BALEEN_CEPH");
    return parse_json(text == nullptr ? "" : text);
  }
  /// Without an account of what was asked: a real one.
  bool tells_nothing() const { return !servers().contains(GetParam().name); }

  static std::map<std::string, std::unique_ptr<Emulator>>& servers() {
    static std::map<std::string, std::unique_ptr<Emulator>> all;
    return all;
  }
  static const ScratchFolder& scratch() {
    static const ScratchFolder folder;
    return folder;
  }

  std::unique_ptr<ObjectStore> store_;
  std::string prefix_;
};

TEST_P(Conformance, WhatWasPutComesBack) {
  const std::string contents[] = {"", "x", std::string("\0\r\n\xFF", 4), noise(100'000, 1)};
  int number = 0;
  for (const std::string& content : contents) {
    const std::string name = "o" + std::to_string(++number);
    const auto facts = put(name, content);
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_EQ(facts->key, key(name));
    EXPECT_EQ(facts->size, content.size());
    const auto back = store_->get(key(name));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, content);
    const auto head = store_->head(key(name));
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->size, content.size());
    EXPECT_EQ(head->crc32c, crc32c(as_bytes(content)));
    EXPECT_GT(to_ns(head->modified), 0);
  }
}

TEST_P(Conformance, NamesThatNeedCare) {
  for (const char* name : {"with blank", "plus+and&and=and%25", "\xC3\xA4/\xE2\x82\xAC.pcap", "a/b/c", "quote'\"",
                           "~tilde", "colon:semi;comma,", "hash#mark", "percent%"}) {
    SCOPED_TRACE(name);
    const auto facts = put(name, name);
    ASSERT_TRUE(facts) << facts.error().message;
    const auto back = store_->get(key(name));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, name);
    EXPECT_THAT(list({.prefix = name}), ElementsAre(name));
    EXPECT_TRUE(store_->remove(key(name)));
  }
}

TEST_P(Conformance, LaterPutsWin) {
  ASSERT_TRUE(put("o", "first"));
  ASSERT_TRUE(put("o", "second"));
  EXPECT_EQ(store_->get(key("o")).value_or(""), "second");
}

TEST_P(Conformance, OnlyIfAbsent) {
  PutOptions options;
  options.only_if_absent = true;
  ASSERT_TRUE(put("o", "first", options));
  const auto second = put("o", "second", options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict) << second.error().message;
  EXPECT_EQ(store_->get(key("o")).value_or(""), "first");

  EXPECT_TRUE(put_once(*store_, key("o"), as_bytes("first"), {})) << "the same content again";
  const auto other = put_once(*store_, key("o"), as_bytes("other"), {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kConflict);
}

TEST_P(Conformance, AWrongSumIsRefused) {
  PutOptions options;
  options.crc32c = 12345;
  const auto facts = put("o", "content", options);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Code::kInvalid);
  EXPECT_FALSE(store_->head(key("o")));
}

TEST_P(Conformance, WhatIsNotThereIsNotFound) {
  EXPECT_EQ(store_->get(key("absent")).error().code, Code::kNotFound);
  EXPECT_EQ(store_->head(key("absent")).error().code, Code::kNotFound);
  EXPECT_EQ(store_->get_range(key("absent"), 0, 1).error().code, Code::kNotFound);
  EXPECT_EQ(store_->remove(key("absent")).error().code, Code::kNotFound);
  ASSERT_TRUE(put("o", "x"));
  ASSERT_TRUE(store_->remove(key("o")));
  EXPECT_EQ(store_->get(key("o")).error().code, Code::kNotFound);
}

TEST_P(Conformance, Ranges) {
  ASSERT_TRUE(put("o", "0123456789"));
  const struct {
    uint64_t offset, length;
    const char* expected;
  } table[] = {
      {0, 1, "0"}, {0, 10, "0123456789"},      {3, 4, "3456"}, {8, 100, "89"}, {9, 1, "9"}, {10, 1, ""}, {99, 5, ""},
      {4, 0, ""},  {2, UINT64_MAX, "23456789"}};
  for (const auto& row : table) {
    const auto part = store_->get_range(key("o"), row.offset, row.length);
    ASSERT_TRUE(part) << row.offset << "+" << row.length << ": " << part.error().message;
    EXPECT_EQ(*part, row.expected) << row.offset << "+" << row.length;
  }
}

TEST_P(Conformance, Lists) {
  for (const char* name : {"2026-01/a", "2026-01/b", "2026-02/a", "2026-10/x/y", "top", "zz"})
    ASSERT_TRUE(put(name, name));
  EXPECT_THAT(list({}), ElementsAre("2026-01/a", "2026-01/b", "2026-02/a", "2026-10/x/y", "top", "zz"));
  EXPECT_THAT(list({.page_size = 2}), ElementsAre("2026-01/a", "2026-01/b", "2026-02/a", "2026-10/x/y", "top", "zz"));
  EXPECT_THAT(list({.prefix = "2026-0"}), ElementsAre("2026-01/a", "2026-01/b", "2026-02/a"));
  EXPECT_THAT(list({.prefix = "none"}), IsEmpty());
  EXPECT_THAT(list({.delimiter = "/"}), ElementsAre("top", "zz", "2026-01/", "2026-02/", "2026-10/"));
  EXPECT_THAT(list({.prefix = "2026-10/", .delimiter = "/"}), ElementsAre("2026-10/x/"));
  EXPECT_THAT(list({.start_offset = "2026-02/a"}), ElementsAre("2026-02/a", "2026-10/x/y", "top", "zz"))
      << "itself, too";
  EXPECT_THAT(list({.start_offset = "2026-01/aa", .page_size = 2}),
              ElementsAre("2026-01/b", "2026-02/a", "2026-10/x/y", "top", "zz"));
  EXPECT_THAT(list({.start_offset = "zzz"}), IsEmpty());
}

TEST_P(Conformance, FilesSmallAndLarge) {
  const size_t sizes[] = {0, 1000, (17 << 20) + 3};
  int number = 0;
  for (const size_t size : sizes) {
    const std::string name = "f" + std::to_string(++number), content = noise(size, 7);
    const std::string path = scratch().file("upload", content);
    uint64_t progress = 0;
    std::vector<std::string> sessions;
    PutOptions options;
    options.on_progress = [&](uint64_t n) {
      EXPECT_GE(n, progress);
      progress = n;
    };
    options.on_session = [&](const std::string& session) { sessions.push_back(session); };
    const auto facts = store_->put_file(key(name), path, options);
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_EQ(facts->size, size);
    EXPECT_EQ(progress, size);
    EXPECT_TRUE(sessions.empty() || sessions.back().empty()) << "it is over";
    const auto back = store_->get(key(name));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(*back == content);
    EXPECT_EQ(store_->head(key(name))->crc32c, crc32c(as_bytes(content)));
    EXPECT_TRUE(put_source_once(*store_, key(name), **io::open_source(path), {})) << "the same file again";
  }
}

TEST_P(Conformance, AFileThatIsNotWhatItsSumSaysIsRefused) {
  const std::string content = noise(20 << 20, 9), path = scratch().file("upload", content);
  PutOptions options;
  options.crc32c = 12345;
  EXPECT_FALSE(store_->put_file(key("o"), path, options));
  EXPECT_FALSE(store_->head(key("o")));
  options.crc32c = crc32c(as_bytes(content));
  const auto facts = store_->put_file(key("o"), path, options);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->crc32c, options.crc32c);
}

TEST_P(Conformance, ACancelledUploadEnds) {
  const std::string path = scratch().file("upload", noise(20 << 20, 8));
  const std::atomic<bool> cancel = true;
  PutOptions options;
  options.cancel = &cancel;
  const auto facts = store_->put_file(key("o"), path, options);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, Code::kIo) << facts.error().message;
  EXPECT_EQ(store_->head(key("o")).error().code, Code::kNotFound);
}

TEST_P(Conformance, ACheckFindsAllWell) {
  Location location{GetParam().name == "ceph" ? "s3" : GetParam().name, "b", "p"};
  const CheckReport report = check(*store_, location);
  EXPECT_EQ(report.steps.size(), 7u);
  for (const CheckStep& step : report.steps)
    EXPECT_EQ(step.outcome, CheckStep::Outcome::kOk) << step.name << ": " << step.message;
  EXPECT_TRUE(report.all_ok());
  EXPECT_THAT(report.missing(), IsEmpty());
  EXPECT_THAT(report.advice(location), IsEmpty());
  EXPECT_EQ(report.left_over, "");
  if (GetParam().name == "file") return;
  EXPECT_NE(report.endpoint, "");
  ASSERT_TRUE(report.clock_skew);
  EXPECT_LE(std::abs(report.clock_skew->count()), 2);
  const auto left = store_->list({.prefix = "p/"});
  ASSERT_TRUE(left);
  EXPECT_THAT(left->objects, IsEmpty()) << "it leaves nothing";
}

TEST_P(Conformance, SaysWhoItIsAndNoSecret) {
  EXPECT_THAT(store_->name(), testing::HasSubstr(GetParam().name == "file"   ? "/"
                                                 : GetParam().name == "ceph" ? "s3://"
                                                                             : GetParam().name + "://"));
  const std::pair<const char*, const char*> secrets[] = {{"s3", "secret_key"}, {"azblob", "key"}};
  for (const auto& [kind, secret] : secrets)
    if (GetParam().name == kind) {
      EXPECT_NE(store_->identity(), "");
      EXPECT_THAT(store_->identity(), testing::Not(testing::HasSubstr(servers().at(kind)->value(secret))));
    }
}

TEST_P(Conformance, ObjectsAreMadeAsTheConfigurationWantsThem) {
  if (GetParam().name == "file") GTEST_SKIP() << "a folder has neither classes nor keys";
  if (tells_nothing()) GTEST_SKIP() << "this server tells nobody what it was asked";
  const bool gs = GetParam().name == "gs", s3 = GetParam().name == "s3";
  OpenOptions options;
  options.gcs_user_project = "payer";
  options.s3_requester_pays = true;
  options.objects.storage_class = gs ? "NEARLINE" : s3 ? "STANDARD_IA" : "Cool";
  options.objects.encryption_key_name = gs ? "projects/p/locations/l/keyRings/r/cryptoKeys/k" : "AES256";
  if (!gs && !s3) options.objects.encryption_key_name = "a-scope";
  options.objects.metadata = {{"team", "net"}};
  if (!gs) options.objects.tags = {{"cost center", "a+b"}};
  auto store = open_store(options);
  ASSERT_TRUE(store) << store.error().message;
  const auto facts = (*store)->put(key("o"), as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ((*store)->get(key("o")).value_or(""), "content");
  ASSERT_TRUE((*store)->put_file(key("large"), scratch().file("large", noise(17 << 20, 3)), {}));
  const std::string seen = servers().at(GetParam().name)->report();
  const std::map<std::string, std::vector<std::string>> expected{
      {"gs", {"kmsKeyName=projects%2Fp%2Flocations%2Fl%2FkeyRings%2Fr%2FcryptoKeys%2Fk", "userProject=payer"}},
      {"s3",
       {"PUT x-amz-storage-class: STANDARD_IA", "POST x-amz-storage-class: STANDARD_IA",
        "PUT x-amz-server-side-encryption: AES256", "PUT x-amz-meta-team: net",
        "PUT x-amz-tagging: cost%20center=a%2Bb", "GET x-amz-request-payer: requester"}},
      {"azblob",
       {"PUT x-ms-access-tier: Cool", "PUT x-ms-encryption-scope: a-scope", "PUT x-ms-meta-team: net",
        "PUT x-ms-tags: cost%20center=a%2Bb"}}};
  for (const std::string& text : expected.at(GetParam().name)) EXPECT_THAT(seen, testing::HasSubstr(text));
}

TEST_P(Conformance, AKeyOfOursTravelsWithContentAndOnlyWhereItMay) {
  OpenOptions options;
  options.objects.customer_key = noise(32, 1);
  if (GetParam().name == "file") {
    EXPECT_EQ(open_store(options).error().code, Code::kInvalid);
    return;
  }
  auto store = open_store(options);
  ASSERT_TRUE(store) << store.error().message;
  const auto facts = (*store)->put(key("o"), as_bytes("content"), {});
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ((*store)->get(key("o")).value_or(""), "content");
  EXPECT_EQ((*store)->get_range(key("o"), 2, 3).value_or(""), "nte");
  EXPECT_TRUE((*store)->head(key("o")));
  ASSERT_TRUE((*store)->put_file(key("large"), scratch().file("large", noise(17 << 20, 3)), {}));
  if (tells_nothing()) {
    EXPECT_FALSE(store_->get(key("o"))) << "without the key";
    return;
  }
  const std::map<std::string, std::string> names{{"gs", "x-goog-encryption-key"},
                                                 {"s3", "x-amz-server-side-encryption-customer-key"},
                                                 {"azblob", "x-ms-encryption-key"}};
  const std::string seen = servers().at(GetParam().name)->report();
  for (const char* method : {"PUT ", "GET "})
    EXPECT_THAT(seen, testing::HasSubstr(method + names.at(GetParam().name) + ": "));

  const Location somewhere{GetParam().name, GetParam().name == "azblob" ? "a/b" : "bucket", ""};
  options.endpoint = "http://store.example.com";
  EXPECT_EQ(store::open(somewhere, options).error().code, Code::kDenied) << "in the clear";
  options.objects.customer_key = "short";
  EXPECT_EQ(store::open(somewhere, options).error().code, Code::kInvalid);
  options.objects.customer_key = noise(32, 1);
  options.objects.encryption_key_name = "another";
  EXPECT_EQ(store::open(somewhere, options).error().code, Code::kInvalid) << "two keys";
}

INSTANTIATE_TEST_SUITE_P(Stores, Conformance,
                         testing::Values(Kind{"file", ""}, Kind{"gs", "gcs_emulator.js"}, Kind{"s3", "s3_emulator.js"},
                                         Kind{"azblob", "azure_emulator.js"}, Kind{"ceph", ""}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace baleen::store
