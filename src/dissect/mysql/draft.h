#pragma once

#include <string_view>
#include <vector>

#include "dissect/dissector.h"

namespace baleen::dissect::mysql {

/// Capabilities of the hello
/// (https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html).
constexpr uint64_t kConnectWithDb = 0x8, kCompress = 0x20, kProtocol41 = 0x200, kSsl = 0x800, kSecure = 0x8000,
                   kPluginAuth = 0x80000, kAttributes = 0x100000, kLenencAuth = 0x200000, kZstd = 0x4000000,
                   kQueryAttributes = 0x8000000, kSessionTrack = 0x800000;
constexpr uint16_t kStateChanged = 0x4000;  // status of an OK (SERVER_SESSION_STATE_CHANGED)
constexpr uint32_t kFull = 0xFFFFFF;        // the length of a packet that the next one goes on with
constexpr uint32_t kMaxRows = 20, kMaxColumns = 256, kMaxParameters = 64;

enum Code : uint8_t {
  kQuit = 1,
  kInitDb = 2,
  kQuery = 3,
  kFieldList = 4,
  kStatistics = 9,
  kProcessInfo = 10,
  kPing = 14,
  kChangeUser = 17,
  kBinlogDump = 18,
  kPrepare = 22,
  kExecute = 23,
  kLongData = 24,
  kClose = 25,
  kReset = 26,
  kFetch = 28,
  kBinlogDumpGtid = 30,
  kBulkExecute = 0xFA,
  kLogin = 0xF0,
};
std::string_view command_name(uint8_t code);
bool is_command(uint8_t code);

/// What is known of an item while it waits. Lives in the item's arena, found through Item::match_key.
struct Draft {
  enum class State : uint8_t { kFirst, kColumns, kRows, kParameters, kPreparedColumns, kFile, kList };
  uint8_t code;
  State state = State::kFirst;
  uint8_t next_sequence = 1;  // of the answer's first packet
  bool failed = false, truncated = false, answered = false, ssl = false, has_statement = false;
  bool first_set = true;       // columns and rows of this set are shown
  bool after_columns = false;  // an EOF may stand before the rows
  uint32_t columns_left = 0, column_count = 0, parameters_left = 0, parameter_count = 0;
  uint32_t row_count = 0, rows_kept = 0, results = 0, types_kept = 0, columns_kept = 0;
  uint32_t statement_id = 0, connection_id = 0;
  uint64_t affected = 0, insert_id = 0, file_bytes = 0;
  uint16_t warnings = 0;
  bool has_ok = false;
  size_t budget = 0;
  std::string_view query, user, database, text, file, version, client_plugin, server_plugin;
  item::Value parameters, password, attributes, error, session;
  std::string_view schema;  // that the session now uses, when an OK says so
  uint64_t bulk_rows = 0;
  item::Value* columns = nullptr;
  item::Value* rows = nullptr;
  uint16_t* types = nullptr;  // type | unsigned << 8
};

Draft& draft(item::Item* item);
/// A copy within the item's budget.
std::string_view keep(item::Item* item, std::string_view text);
item::Value keep_value(item::Item* item, std::string_view text);

item::Value request_payload(item::Item* item, std::string_view user, std::string_view database);
item::Value response_payload(item::Item* item);

inline bool is_error(Bytes body) { return !body.empty() && body[0] == 0xFF; }
item::Value error_value(Bytes body, Arena& arena);
/// An OK packet, also one that took the place of EOF; gives the server's status flags.
void read_ok(item::Item* item, Bytes body, uint16_t& status);
/// What an OK says behind its warnings: a remark and, with kStateChanged, what has changed in the session
/// (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html).
void read_tail_of_ok(item::Item* item, ByteReader& r, uint16_t status);
/// Rows of parameters behind the statement's number
/// (https://mariadb.com/kb/en/com_stmt_bulk_execute/); the first kMaxRows are kept. `known` as for read_parameters().
void read_bulk(item::Item* item, ByteReader& r, size_t n, std::vector<uint16_t>& known);
/// Column definition 41: catalog, schema, table, org_table, name, org_name, then fixed fields. MariaDB may put extended
/// metadata between, which only moves the fixed fields, so those are read from the end.
void read_column(item::Item* item, Bytes body);
void read_row(item::Item* item, Bytes body);
/// Parameters behind their null bitmap; with query attributes each has a name. Types that are not sent are those of an
/// earlier execution, `known`; those that are sent go there (of the first kMaxParameters).
void read_parameters(item::Item* item, ByteReader& r, size_t n, bool named, std::vector<uint16_t>* known = nullptr);

}  // namespace baleen::dissect::mysql
