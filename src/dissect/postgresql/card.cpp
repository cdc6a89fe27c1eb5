#include "dissect/postgresql/postgresql.h"

namespace baleen::dissect::postgresql {

using item::Field;
using item::FieldType;

namespace {

constexpr uint16_t kPorts[] = {5432};
constexpr Field kFields[] = {
    {"request.command", "postgresql_command", FieldType::kString,
     "The SQL tag, such as SELECT; of what is no SQL the kind of message."},
    {"request.query", "postgresql_query", FieldType::kString, "The SQL text; of an Execute that of its statement."},
    {"request.database", "postgresql_database", FieldType::kString, "The database of the connection."},
    {"request.user", "postgresql_user", FieldType::kString, "The user of the connection."},
    {"response.error.message", "postgresql_error_message", FieldType::kString, "The error's message."},
    {"response.error.code", "postgresql_error_code", FieldType::kString, "The error's SQLSTATE."},
    {"response.success", "postgresql_success", FieldType::kBool, "It was answered without an error."},
    {"requestSize", "postgresql_request_size", FieldType::kInt, "Bytes of the request's messages."},
    {"responseSize", "postgresql_response_size", FieldType::kInt, "Bytes of the answer's messages."},
    {"size", "postgresql_total_size", FieldType::kInt, "Bytes of request and answer together."},
    {"request.type", "", FieldType::kString,
     "Query, Execute, Parse, Describe, Close, FunctionCall, StartupMessage, SSLRequest, GSSENCRequest or "
     "CancelRequest."},
    {"request.messages", "", FieldType::kList, "The messages that make the request up."},
    {"request.statement", "", FieldType::kString, "The name of the prepared statement."},
    {"request.portal", "", FieldType::kString, "The name of the portal."},
    {"request.parameters", "", FieldType::kList, "Bound parameters; of a start-up a map of its parameters."},
    {"request.maxRows", "", FieldType::kInt, "Rows that an Execute asks for."},
    {"request.processId", "", FieldType::kInt, "The server process that a CancelRequest names."},
    {"request.secretKey", "", FieldType::kInt, "The key that allows to cancel.", true},
    {"request.secretKeyBytes", "", FieldType::kBytes, "The key where it is not four bytes long (protocol 3.2).", true},
    {"request.protocolVersion", "", FieldType::kString, "The version that a start-up asks for: 3.0, 3.2."},
    {"request.password", "", FieldType::kBytes, "What the client proves itself with: password, digest or SASL message.",
     true},
    {"request.copyBytes", "", FieldType::kInt, "Bytes of COPY data sent to the server."},
    {"request.truncated", "", FieldType::kBool, "Not all of the request was kept."},
    {"response.authentication", "", FieldType::kString, "The method that the server asked for."},
    {"response.parameters", "", FieldType::kMap, "Settings that the server reports."},
    {"response.processId", "", FieldType::kInt, "The server process of the connection."},
    {"response.secretKey", "", FieldType::kInt, "The key that allows to cancel its queries.", true},
    {"response.secretKeyBytes", "", FieldType::kBytes, "The key where it is not four bytes long (protocol 3.2).", true},
    {"response.protocolVersion", "", FieldType::kString,
     "The newest version that the server speaks, where it is not what the start-up asked for."},
    {"response.unsupportedOptions", "", FieldType::kList, "Protocol options of the start-up that the server ignores."},
    {"response.tag", "", FieldType::kString, "The command tag, such as INSERT 0 1."},
    {"response.tags", "", FieldType::kList, "All tags, of a query of several statements."},
    {"response.completions", "", FieldType::kInt, "Statements that were completed, suspended, empty or failed."},
    {"response.columns", "", FieldType::kList, "Names of the columns of the first result."},
    {"response.rowCount", "", FieldType::kInt, "Rows that were sent."},
    {"response.rows", "", FieldType::kList, "The first rows."},
    {"response.copyBytes", "", FieldType::kInt, "Bytes of COPY data sent to the client."},
    {"response.notices", "", FieldType::kList, "Notices that came along."},
    {"response.transaction", "", FieldType::kString, "idle, active or failed, after the query."},
    {"response.error.severity", "", FieldType::kString, "ERROR, FATAL or PANIC."},
    {"response.error.detail", "", FieldType::kString, "The error's detail."},
    {"response.error.hint", "", FieldType::kString, "The error's hint."},
    {"response.status", "", FieldType::kString, "OK or the SQLSTATE."},
    {"response.accepted", "", FieldType::kBool, "The server goes on encrypted."},
    {"data.type", "", FieldType::kString, "NoticeResponse, NotificationResponse or ErrorResponse."},
    {"data.channel", "", FieldType::kString, "The channel of a notification."},
    {"data.payload", "", FieldType::kString, "What was notified."},
};

}  // namespace

const item::Protocol Postgresql::kProtocol = {
    .name = "postgresql",
    .version = "3.0",
    .abbreviation = "PGSQL",
    .long_name = "PostgreSQL Frontend/Backend Protocol",
    .macro = "postgresql",
    .reference = "https://www.postgresql.org/docs/current/protocol.html",
    .background = "#336791",
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

}  // namespace baleen::dissect::postgresql
