import Etcd
import Ledger

extension EtcdClient {
    private static let page: Int64 = 500

    var keys: KeySpace { KeySpace(prefix: configuration.location.prefix) }

    /// Every key of the kind with what is behind it, and the latest revision that was seen.
    @discardableResult
    func pages(
        of kind: LedgerRecord.Kind, keysOnly: Bool, _ body: (String, EtcdKeyValue) throws(LedgerError) -> Void
    ) async throws(LedgerError) -> Int64 {
        let (start, end) = keys.range(of: kind)
        var request = EtcdRangeRequest()
        request.key = start
        request.rangeEnd = end
        request.limit = Self.page
        request.keysOnly = keysOnly
        while true {
            let answer: EtcdRangeResponse
            do { answer = try await range(request) } catch { throw LedgerError(error) }
            for pair in answer.kvs { try body(keys.name(in: pair.key, of: kind), pair) }
            guard answer.more, let last = answer.kvs.last else { return answer.header.revision }
            // The least key that is greater.
            request.key = last.key + [0]
        }
    }
}
