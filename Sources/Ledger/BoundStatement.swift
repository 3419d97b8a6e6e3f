import CSQLite
import GRDB

/// A statement whose arguments are bound one by one: as an array of values they cost more than SQLite takes for a small write.
///
/// Belongs to the connection that it was made on, and is used by that one's writer only.
struct BoundStatement {
    /// SQLite copies what is bound.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    private let statement: Statement
    private let handle: OpaquePointer
    private let database: OpaquePointer?

    init(_ sql: String, in database: Database) throws {
        statement = try database.makeStatement(sql: sql)
        handle = statement.sqliteStatement
        self.database = database.sqliteConnection
    }

    func bind(_ index: Int32, _ text: String) {
        var text = text
        text.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return bindEmpty(index) }
            start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                _ = sqlite3_bind_text(handle, index, $0, Int32(bytes.count), Self.transient)
            }
        }
    }

    func bind(_ index: Int32, _ number: Int64?) {
        if let number { sqlite3_bind_int64(handle, index, number) } else { sqlite3_bind_null(handle, index) }
    }

    func bind(_ index: Int32, _ number: Double) { sqlite3_bind_double(handle, index, number) }

    /// Binds, executes, and makes ready for the next time.
    /// - Throws: `DatabaseError`, as GRDB's own statements do.
    func run(_ bind: (BoundStatement) -> Void) throws {
        bind(self)
        let code = sqlite3_step(handle)
        guard code == SQLITE_DONE else {
            let extended = sqlite3_extended_errcode(database)
            let message = String(cString: sqlite3_errmsg(database))
            sqlite3_reset(handle)
            throw DatabaseError(resultCode: ResultCode(rawValue: extended), message: message)
        }
        sqlite3_reset(handle)
    }

    private func bindEmpty(_ index: Int32) { sqlite3_bind_text(handle, index, "", 0, Self.transient) }
}
