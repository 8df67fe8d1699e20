import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

/** Does what DBeaver, DataGrip and Metabase do with a connection, and prints a line "name=value" for each step. */
public final class JdbcClient {
    private JdbcClient() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        for (int at = 1; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            properties.put(pair[0], pair[1]);
        }
        try (Connection connection = DriverManager.getConnection(arguments[0], properties)) {
            query(connection);
            prepare(connection);
            describe(connection.getMetaData());
            browse(connection);
            fail(connection);
        }
    }

    private static void query(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            tell("rows", count(statement.executeQuery("SELECT * FROM events")));
            tell("many", count(statement.executeQuery("SELECT number, toString(number) FROM numbers(300000)")));
            statement.setQueryTimeout(20);
            statement.setMaxRows(10);
            tell("at most", count(statement.executeQuery("SELECT number FROM numbers(300000)")));
            statement.setMaxRows(0);
            tell("no limit", count(statement.executeQuery("SELECT number FROM numbers(300)")));
            ResultSet limit = statement.executeQuery("SELECT getSetting('max_execution_time')");
            limit.next();
            tell("max_execution_time", limit.getString(1));
        }
    }

    private static void prepare(Connection connection) throws SQLException {
        String sql = "SELECT count() AS events, toDate(?) AS day FROM events WHERE site = ? AND name != ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setDate(1, Date.valueOf("2026-10-12"));
            statement.setString(2, "demo");
            statement.setString(3, "it's \\ none");
            ResultSet found = statement.executeQuery();
            found.next();
            tell("prepared", found.getLong("events") + " " + found.getDate("day"));
            tell("type", found.getMetaData().getColumnTypeName(2));
        }
    }

    private static void describe(DatabaseMetaData data) throws SQLException {
        tell("product", data.getDatabaseProductName());
        try (ResultSet tables = data.getTables(null, "fairpixel", "events", null)) {
            tables.next();
            tell("table", tables.getString("TABLE_NAME") + " " + tables.getString("TABLE_TYPE"));
        }
        try (ResultSet columns = data.getColumns(null, "fairpixel", "events", "occurred_at")) {
            columns.next();
            tell("column", columns.getString("COLUMN_NAME") + " " + columns.getString("TYPE_NAME"));
        }
        tell("schemas", count(data.getSchemas()));
        tell("keys", count(data.getPrimaryKeys(null, "fairpixel", "events")));
        tell("types", count(data.getTypeInfo()));
        tell("functions", count(data.getFunctions(null, null, "%")));
    }

    /** As DBeaver fills its tree of databases and tables. */
    private static void browse(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            tell("version", count(statement.executeQuery("SELECT VERSION()")));
            tell("databases", count(statement.executeQuery("SHOW DATABASES")));
            tell("engines", count(statement.executeQuery("SELECT name FROM system.table_engines")));
            tell("shown", count(statement.executeQuery("SHOW CREATE TABLE `fairpixel`.`events`")));
        }
        String tables =
                "SELECT name as TABLE_NAME, engine as TABLE_TYPE, database as TABLE_SCHEM, comment as REMARKS, * "
                        + "FROM system.tables\nWHERE database = ? and name=?";
        try (PreparedStatement statement = connection.prepareStatement(tables)) {
            statement.setString(1, "fairpixel");
            statement.setString(2, "purchases");
            ResultSet found = statement.executeQuery();
            found.next();
            tell("view", found.getString("TABLE_NAME") + " " + found.getString("engine"));
        }
    }

    private static void fail(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.executeQuery("SELECT * FROM no_such");
            tell("error", "none");
        } catch (SQLException error) {
            tell("error", error.getMessage().split("\n")[0]);
        }
    }

    private static int count(ResultSet rows) throws SQLException {
        int count = 0;
        while (rows.next()) {
            count++;
        }
        rows.close();
        return count;
    }

    private static void tell(String name, Object value) {
        System.out.println(name + "=" + value);
    }
}
