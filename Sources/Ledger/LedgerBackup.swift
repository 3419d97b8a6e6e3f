import Crypto
package import Foundation

/// A ledger as a file: a line that says what it is, one line of JSON for each record, and a line that says that this is all.
///
/// What has been cut, changed or put together is refused as a whole.
package enum LedgerBackup {
    private static let version = 1

    private struct Head: Codable {
        var lighterLedger: Int
    }

    private struct End: Codable {
        var records: Int
        /// Of all lines before this one, in hexadecimal.
        var sha256: String
    }

    // MARK: - As bytes

    package static func encode(_ records: [LedgerRecord]) throws -> Data {
        var lines = try line(Head(lighterLedger: version))
        for record in records { lines += try line(record) }
        return lines + (try line(End(records: records.count, sha256: digest(lines))))
    }

    /// - Parameter name: what the bytes are called in errors.
    /// - Throws: `newerSchema` where a newer release wrote them, else `corrupt`.
    package static func decode(_ bytes: Data, named name: String) throws(LedgerError) -> [LedgerRecord] {
        guard !bytes.isEmpty else { throw notWhole(name, "it is empty") }
        var lines = bytes.split(separator: UInt8(ascii: "\n"))
        guard let head = lines.first.flatMap({ try? LedgerJSON.decode(Head.self, from: Data($0)) }) else {
            throw LedgerError(
                .corrupt,
                "\(name) does not begin as a backup of a ledger: name a file that `lighter-gateway ledger export` of this "
                    + "version has written")
        }
        guard head.lighterLedger <= version else {
            throw LedgerError(.newerSchema, "\(name) was written by a newer release: import it with that")
        }
        guard let last = lines.popLast(), let end = try? LedgerJSON.decode(End.self, from: Data(last)),
            bytes.last == UInt8(ascii: "\n")
        else { throw notWhole(name, "its last line, with the number of its records, is missing") }
        let records = lines.dropFirst()
        guard records.count == end.records else {
            throw notWhole(name, "it was written with \(end.records) records, and has \(records.count)")
        }
        guard digest(bytes[..<last.startIndex]) == end.sha256 else {
            throw notWhole(name, "its records are not those that were written")
        }
        return try decode(records, named: name)
    }

    private static func decode(_ lines: ArraySlice<Data>, named name: String) throws(LedgerError) -> [LedgerRecord] {
        var known: Set<LedgerRecord.Key> = []
        var records: [LedgerRecord] = []
        for (index, line) in zip(lines.indices, lines) {
            let record: LedgerRecord
            do { record = try LedgerJSON.decode(LedgerRecord.self, from: Data(line)) } catch {
                throw LedgerError(.corrupt, "line \(index + 1) of \(name) is no record of a ledger", cause: error)
            }
            guard known.insert(record.key).inserted else {
                let twice = "\(record.key.kind.rawValue) \(record.key.name)"
                throw LedgerError(.corrupt, "line \(index + 1) of \(name) has the \(twice) again")
            }
            records.append(record)
        }
        return records
    }

    private static func line(_ value: some Encodable) throws -> Data {
        try LedgerJSON.encode(value) + [UInt8(ascii: "\n")]
    }

    private static func digest(_ bytes: Data) -> String {
        SHA256.hash(data: bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func notWhole(_ name: String, _ why: String) -> LedgerError {
        LedgerError(.corrupt, "the backup \(name) is not whole: \(why); nothing was imported")
    }

    // MARK: - As files

    /// Writes a file that only its owner can read: hashes of tokens and names of tenants are nobody else's business.
    ///
    /// - Throws: `readOnly` where it cannot be made, `storage` where not all could be written; then what was there is still there.
    package static func write(_ records: [LedgerRecord], to file: String) throws(LedgerError) {
        let bytes: Data
        do { bytes = try encode(records) } catch {
            throw LedgerError(.storage, "the ledger cannot be written as JSON", cause: error)
        }
        // What was there before stays until all of this is on the disk.
        let draft = file + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw LedgerError(.readOnly, "\(draft) cannot be written; name a file in a folder of yours")
        }
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        do {
            try handle.write(contentsOf: bytes)
            try handle.synchronize()
            try handle.close()
            guard rename(draft, file) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        } catch {
            unlink(draft)
            throw LedgerError(.storage, "\(file) cannot be written: \(reason(error))")
        }
    }

    /// - Throws: `storage` where the file cannot be read; else as `decode`.
    package static func read(_ file: String) throws(LedgerError) -> [LedgerRecord] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
            throw LedgerError(.storage, "there is no file \(file)")
        }
        guard !isFolder.boolValue else {
            throw LedgerError(.storage, "\(file) is a folder; name the file that `ledger export` has written")
        }
        let bytes: Data
        do { bytes = try Data(contentsOf: URL(filePath: file)) } catch {
            throw LedgerError(.storage, "\(file) cannot be read: \(reason(error))")
        }
        return try decode(bytes, named: file)
    }

    /// In the system's own words where it has some.
    private static func reason(_ error: any Error) -> String {
        let system = error as? POSIXError ?? (error as? CocoaError)?.underlying as? POSIXError
        return system.map { String(cString: strerror($0.code.rawValue)) } ?? "the system does not say why"
    }
}
