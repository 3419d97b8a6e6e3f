import Fleet
import Testing

@Suite("Identifiers")
struct IdentifierTests {
    @Test(
        "Host labels are names of nodes and tenants",
        arguments: ["a", "0", "edge-1", "a--b", String(repeating: "z", count: 63)])
    func goodNames(name: String) throws {
        #expect(try NodeID(name).description == name)
        #expect(try TenantID(name).name == name)
    }

    @Test(
        "What is no host label is refused, and the error shows it",
        arguments: ["", "-a", "a-", "A", "a.b", "a_b", "é", "a b", "a\u{0}", String(repeating: "z", count: 64)])
    func badNames(name: String) {
        #expect(throws: FleetError.invalidName(kind: "node", value: name)) { try NodeID(name) }
        #expect(throws: FleetError.invalidName(kind: "tenant", value: name)) { try TenantID(name) }
    }

    @Test(
        "A workload id is 32 lower-case hex digits and nothing else",
        arguments: [
            "", "abc", String(repeating: "g", count: 32), String(repeating: "A", count: 32),
            String(repeating: "0", count: 33),
        ])
    func badWorkloads(hex: String) {
        #expect(throws: FleetError.invalidName(kind: "workload", value: hex)) { try WorkloadID(hex) }
    }

    @Test("Random workload ids are valid and do not repeat")
    func random() throws {
        let drawn = (0..<1000).map { _ in WorkloadID.random() }
        #expect(Set(drawn).count == drawn.count)
        for id in drawn { #expect(try WorkloadID(id.hex) == id) }
    }

    @Test("A workload id is written as it was read, and sorts as it is written")
    func workloadText() throws {
        let texts = [
            "0123456789abcdeffedcba9876543210", "0123456789abcdef0000000000000001", "ffffffffffffffff0000000000000000",
        ]
        let ids = try texts.map { try WorkloadID($0) }
        #expect(ids.map(\.hex) == texts)
        #expect(ids.sorted().map(\.hex) == texts.sorted())
    }

    @Test("Names sort as text")
    func order() throws {
        #expect(try NodeID("a") < NodeID("b"))
        #expect(try NodeID("a1") < NodeID("a2"))
    }
}
