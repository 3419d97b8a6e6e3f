internal import CSQLite

/// One connection of SQLite's C API, with its prepared statements kept.
final class Database {
    enum Value {
        case text(String)
        case integer(Int64)
        case real(Double)
        case blob([UInt8])
    }

    struct Row {
        fileprivate let statement: OpaquePointer

        func text(_ column: Int32) -> String {
            sqlite3_column_text(statement, column).map { String(cString: $0) } ?? ""
        }

        func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
        func real(_ column: Int32) -> Double { sqlite3_column_double(statement, column) }

        func blob(_ column: Int32) -> [UInt8] {
            guard let start = sqlite3_column_blob(statement, column) else { return [] }
            return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
        }
    }

    private let handle: OpaquePointer
    private let path: String
    private var prepared: [String: OpaquePointer] = [:]

    init(path: String) throws(FrontDoorError) {
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw FrontDoorError(
                .journal, "cannot open \(path): \(String(cString: sqlite3_errstr(code))); is its folder writable?")
        }
        handle = opened
        self.path = path
    }

    deinit {
        for statement in prepared.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(handle)
    }

    func run(_ sql: String, _ values: [Value] = []) throws(FrontDoorError) {
        try query(sql, values) { _ in }
    }

    func query(_ sql: String, _ values: [Value] = [], _ each: (Row) -> Void) throws(FrontDoorError) {
        let statement = try prepare(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (index, value) in values.enumerated() { bind(value, to: statement, at: Int32(index + 1)) }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: each(Row(statement: statement))
            case SQLITE_DONE: return
            case let code: throw failure(code)
            }
        }
    }

    func hasColumn(_ column: String, in table: String) throws(FrontDoorError) -> Bool {
        var found = false
        try query("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", [.text(table), .text(column)]) { _ in
            found = true
        }
        return found
    }

    private func prepare(_ sql: String) throws(FrontDoorError) -> OpaquePointer {
        if let known = prepared[sql] { return known }
        var made: OpaquePointer?
        let code = sqlite3_prepare_v2(handle, sql, -1, &made, nil)
        guard code == SQLITE_OK, let made else { throw failure(code) }
        prepared[sql] = made
        return made
    }

    private func bind(_ value: Value, to statement: OpaquePointer, at index: Int32) {
        // SQLITE_TRANSIENT: SQLite copies the bytes before the call returns.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .text(let text): sqlite3_bind_text(statement, index, text, -1, transient)
        case .integer(let number): sqlite3_bind_int64(statement, index, number)
        case .real(let number): sqlite3_bind_double(statement, index, number)
        case .blob(let bytes): sqlite3_bind_blob(statement, index, bytes, Int32(bytes.count), transient)
        }
    }

    private func failure(_ code: Int32) -> FrontDoorError {
        let remedy =
            switch code & 0xff {
            case SQLITE_FULL: "; free some disk space"
            case SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_PERM: "; is its folder writable?"
            case SQLITE_CORRUPT, SQLITE_NOTADB: "; move the file away and start again: the fleet still knows its work"
            default: ""
            }
        return FrontDoorError(.journal, "the journal \(path): \(String(cString: sqlite3_errmsg(handle)))\(remedy)")
    }
}
