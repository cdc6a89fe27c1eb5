#include "dissect/mysql/mysql.h"

namespace baleen::dissect::mysql {

using item::Field;
using item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {3306};
constexpr Field kFields[] = {
    {"request.command", "mysql_command", FieldType::kString,
     "The command, such as COM_QUERY; LOGIN or SSLRequest for the hello."},
    {"request.query", "mysql_query", FieldType::kString, "The SQL text; of an execution that of its statement."},
    {"request.database", "mysql_database", FieldType::kString, "The database in use."},
    {"response.error.message", "mysql_error_message", FieldType::kString, "The error's message."},
    {"response.success", "mysql_success", FieldType::kBool, "It was answered without an error."},
    {"request.statementId", "mysql_statement_id", FieldType::kInt, "The number of the prepared statement."},
    {"response.error.code", "mysql_error_code", FieldType::kInt, "The error's number."},
    {"requestSize", "mysql_request_size", FieldType::kInt, "Bytes of the request's packets."},
    {"responseSize", "mysql_response_size", FieldType::kInt, "Bytes of the answer's packets."},
    {"size", "mysql_total_size", FieldType::kInt, "Bytes of request and answer together."},
    {"request.user", "", FieldType::kString, "The user of the connection."},
    {"request.password", "", FieldType::kBytes, "What the client proves itself with.", true},
    {"request.authentication", "", FieldType::kString, "The authentication plugin of the client."},
    {"request.attributes", "", FieldType::kMap, "The connection's attributes, such as program_name."},
    {"request.parameters", "", FieldType::kList,
     "Bound parameters of an execution; of a bulk execution a list of them for each of the first rows."},
    {"request.parameterRows", "", FieldType::kInt, "How many rows of parameters a bulk execution sends."},
    {"request.fileBytes", "", FieldType::kInt, "Bytes of the file that LOAD DATA LOCAL INFILE sent."},
    {"request.truncated", "", FieldType::kBool, "Not all of the request was kept."},
    {"response.status", "", FieldType::kString, "OK or the error's number."},
    {"response.affectedRows", "", FieldType::kInt, "Rows that were changed."},
    {"response.lastInsertId", "", FieldType::kInt, "The last generated key."},
    {"response.warnings", "", FieldType::kInt, "How many warnings there are."},
    {"response.text", "", FieldType::kString, "The answer of COM_STATISTICS, or the remark of an OK."},
    {"response.session", "", FieldType::kMap,
     "What has changed in the session, as the server tracks it: schema, variables, gtids, transactionState, "
     "transactionCharacteristics, stateChanged."},
    {"response.columns", "", FieldType::kList, "Names of the columns of the first result."},
    {"response.rowCount", "", FieldType::kInt, "Rows that were sent."},
    {"response.rows", "", FieldType::kList, "The first rows."},
    {"response.results", "", FieldType::kInt, "Results: each an OK, a result set or an error."},
    {"response.parameterCount", "", FieldType::kInt, "Parameters of the statement that was prepared."},
    {"response.columnCount", "", FieldType::kInt, "Columns of the statement that was prepared."},
    {"response.file", "", FieldType::kString, "The file that the server asked for."},
    {"response.error.sqlState", "", FieldType::kString, "The error's SQLSTATE."},
    {"response.serverVersion", "", FieldType::kString, "The server's version."},
    {"response.connectionId", "", FieldType::kInt, "The server's number of the connection."},
    {"response.authentication", "", FieldType::kString, "The authentication plugin of the server."},
};

}  // namespace

const item::Protocol Mysql::kProtocol = {
    .name = "mysql",
    .version = "4.1",
    .abbreviation = "MYSQL",
    .long_name = "MySQL Client/Server Protocol",
    .macro = "mysql",
    .reference = "https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html",
    .background = "#00758f",
    .foreground = "#ffffff",
    .font_size = 11,
    .priority = 5,
    .layer4 = "tcp",
    .ports = kPorts,
    .fields = kFields,
    .method_path = "request.command",
    .summary_path = "request.query",
    .status_path = "response.status",
};

}  // namespace baleen::dissect::mysql
