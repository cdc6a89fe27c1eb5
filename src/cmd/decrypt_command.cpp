#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/crc32c.h"
#include "cmd/commands.h"
#include "cmd/fetch.h"
#include "index/block.h"
#include "index/encryption.h"

namespace baleen::cmd {
namespace {

struct DecryptOptions {
  std::string from, to, block;
  std::vector<std::string> keys;
  Access access;
};

/// One object, decrypted where it is encrypted, into the other store; its record then says so.
Result<> copy_object(store::ObjectStore& from, const std::string& prefix, store::ObjectStore& to,
                     const std::string& to_prefix, const index::BlockRecord& block, index::ObjectRecord& object,
                     const index::KeyRing& keys) {
  BALEEN_TRY(const auto cipher, index::cipher_of(block, object, &keys));
  BALEEN_TRY(std::string content, from.get(prefix + object.key));
  if (content.size() != object.size || crc32c(as_bytes(content)) != object.crc32c)
    return Error{Code::kIo, object.key + ": its content is not what its block record says"};
  if (cipher) {
    BALEEN_TRY(content, cipher->open_all(content));
    object.size = content.size();
    object.crc32c = crc32c(as_bytes(content));
    object.encryption.reset();
  }
  auto put = to.put(to_prefix + object.key, as_bytes(content), {});
  return put ? Result<>() : Result<>(std::move(put).error());
}

Result<uint64_t> decrypt(DecryptOptions& options, const index::KeyRing& keys) {
  BALEEN_TRY(const OpenedStore from, open_location(options.from, options.access));
  BALEEN_TRY(const store::Location location, store::Location::parse(options.to));
  BALEEN_TRY(auto to_store, options.access.open(location));
  const OpenedStore to{std::move(to_store), location.key_prefix()};
  uint64_t blocks = 0;
  store::ListOptions list{.prefix = from.prefix + "recording="};
  do {
    BALEEN_TRY(const store::ListPage page, from.store->list(list));
    for (const store::ObjectFacts& facts : page.objects) {
      if (facts.key.find("/blocks/") == std::string::npos || !facts.key.ends_with(".json")) continue;
      BALEEN_TRY(const std::string text, from.store->get(facts.key));
      BALEEN_TRY(index::BlockRecord block, index::BlockRecord::from_json(text));
      if (!options.block.empty() && block.block != options.block) continue;
      for (auto object : {&index::BlockRecord::packets_object, &index::BlockRecord::items_object}) {
        index::BlockRecord as_it_was = block;
        const auto copied =
            copy_object(*from.store, from.prefix, *to.store, to.prefix, as_it_was, as_it_was.*object, keys);
        if (!copied) return copied.error().in(block.block);
        block.*object = as_it_was.*object;
      }
      block.encryption = {};
      // Last, as ever: it commits the block.
      const std::string record = block.to_json();
      if (auto put = to.store->put(to.prefix + facts.key.substr(from.prefix.size()), as_bytes(record), {}); !put)
        return std::move(put).error().in(block.block);
      ++blocks;
    }
    list.page_token = page.next_page_token;
  } while (!list.page_token.empty());
  return blocks;
}

int run(DecryptOptions& options) {
  index::KeyRing keys;
  for (const std::string& file : options.keys) {
    if (const auto added = keys.add_file(file); !added) {
      fmt::print(stderr, "baleen: --decryption-key: {}\n", added.error().message);
      return exit_code::kUsage;
    }
  }
  const auto blocks = decrypt(options, keys);
  if (!blocks) {
    fmt::print(stderr, "baleen: {}\n", blocks.error().message);
    return exit_code::kFailed;
  }
  fmt::print("{} blocks\n", *blocks);
  return *blocks == 0 ? exit_code::kFailed : exit_code::kOk;
}

}  // namespace

void add_decrypt_command(CLI::App& app, int& code) {
  auto options = std::make_shared<DecryptOptions>();
  CLI::App* command = app.add_subcommand("decrypt-block", "Copy encrypted blocks to where every tool can read them");
  command->footer(
      "Example:\n  baleen decrypt-block --from gs://bucket/prefix --to ./plain --decryption-key key.txt\n"
      "What is written is a recording like any other, without encryption.");
  command->add_option("--from", options->from, "where the recordings are")->required()->option_text("LOCATION");
  command->add_option("--to", options->to, "where to, usually a folder")->required()->option_text("LOCATION");
  command->add_option("--block", options->block, "only the block of this name")->option_text("BLOCK");
  command->add_option("--decryption-key", options->keys, "a key (file); several times for several")
      ->required()
      ->option_text("FILE")
      ->allow_extra_args(false);
  options->access.add_to(*command);
  command->callback([options, &code] { code = run(*options); });
}

}  // namespace baleen::cmd
