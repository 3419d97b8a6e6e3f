internal import CSQLite
internal import Fleet
import Glibc

/// What a session knows of a tree, in a file that nobody else sees, so that memory holds a part of bounded size only.
///
/// Nothing in it lasts: the file loses its name as soon as it is open, and a small tree is never written to it. It serves one
/// thread at a time. After a failure, such as a full disk, all that follows fails too: from half of a change nothing is decided.
final class Store {
    private let handle: OpaquePointer
    private var statements: [String: Statement] = [:]
    private var failure: SystemFailure?

    /// - Parameters:
    ///   - path: Where the file is made; one that is left over there is replaced.
    ///   - cacheSize: How much of it is held in memory at most.
    init(at path: String, cacheSize: ByteCount) throws(SystemFailure) {
        unlink(path)
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let opened else {
            defer { sqlite3_close_v2(opened) }
            throw Self.failure(code, of: opened)
        }
        handle = opened
        // One transaction for good, which is never committed: what is given up is written to the file, and nothing else.
        let settings = """
            PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
            PRAGMA cache_size = -\(cacheSize.bytes >> 10); BEGIN EXCLUSIVE
            """
        let made = sqlite3_exec(handle, settings, nil, nil, nil)
        unlink(path)
        guard made == SQLITE_OK else { throw Self.failure(made, of: handle) }
    }

    deinit {
        // They hold the connection open.
        statements = [:]
        sqlite3_close_v2(handle)
    }

    /// A statement that is prepared once.
    func statement(_ sql: String) throws(SystemFailure) -> Statement {
        if let known = statements[sql] { return known }
        try check()
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw fail(code) }
        let statement = Statement(prepared)
        statements[sql] = statement
        return statement
    }

    func run(_ sql: String) throws(SystemFailure) {
        try check()
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw fail(code) }
    }

    /// Runs a statement to its end.
    /// - Returns: How many rows it has changed.
    @discardableResult
    func run(
        _ statement: Statement, _ keys: UnsafeRawBufferPointer..., each: (Statement) -> Void = { _ in }
    ) throws(SystemFailure) -> Int {
        try check()
        for (index, key) in keys.enumerated() { statement.bind(key, at: Int32(index + 1)) }
        defer { statement.reset() }
        while true {
            switch statement.step() {
            case SQLITE_ROW: each(statement)
            case SQLITE_DONE: return Int(sqlite3_changes(handle))
            case let code: throw fail(code)
            }
        }
    }

    /// Throws what has failed before, if anything has.
    func check() throws(SystemFailure) {
        if let failure { throw failure }
    }

    private func fail(_ code: Int32) -> SystemFailure {
        let found = Self.failure(code, of: handle)
        failure = found
        return found
    }

    private static func failure(_ code: Int32, of handle: OpaquePointer?) -> SystemFailure {
        switch code & 0xff {
        case SQLITE_FULL: return SystemFailure(ENOSPC)
        case SQLITE_NOMEM: return SystemFailure(ENOMEM)
        default:
            let code = handle.map { sqlite3_system_errno($0) } ?? 0
            return SystemFailure(code == 0 ? EIO : code)
        }
    }
}

/// A prepared statement; parameters and columns are blobs.
final class Statement {
    private let pointer: OpaquePointer

    fileprivate init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { sqlite3_finalize(pointer) }

    /// The bytes have to stay where they are until the statement has run.
    fileprivate func bind(_ bytes: UnsafeRawBufferPointer, at index: Int32) {
        // Without an address it is NULL; an empty blob is something else.
        if bytes.baseAddress == nil || bytes.isEmpty {
            sqlite3_bind_zeroblob(pointer, index, 0)
        } else {
            sqlite3_bind_blob(pointer, index, bytes.baseAddress, Int32(bytes.count), nil)
        }
    }

    func bindNull(at index: Int32) { sqlite3_bind_null(pointer, index) }
    func bind(_ number: Int64, at index: Int32) { sqlite3_bind_int64(pointer, index, number) }

    fileprivate func step() -> Int32 { sqlite3_step(pointer) }
    fileprivate func reset() { sqlite3_reset(pointer) }

    /// Valid until the next step; none for NULL.
    func bytes(_ column: Int32) -> UnsafeRawBufferPointer {
        blob(column) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Valid until the next step; nil for NULL.
    func blob(_ column: Int32) -> UnsafeRawBufferPointer? {
        if sqlite3_column_type(pointer, column) == SQLITE_NULL { return nil }
        // An empty blob has no address.
        let start = sqlite3_column_blob(pointer, column)
        return UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(pointer, column)))
    }
}
