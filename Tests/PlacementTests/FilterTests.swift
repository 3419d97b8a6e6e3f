import Fleet
import Testing

@testable import Placement

@Suite("Filters")
struct FilterTests {
    /// What is bent in a fleet in which `cloud1` would be refused for it, and a part of the reason.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var reason: String
        var bend: @Sendable (inout Fixture) throws -> Void
    }

    static let cases: [Case] = [
        Case(testDescription: "suspect", reason: "missed heartbeats") { $0.cloud1.state = .suspect },
        Case(testDescription: "unreachable", reason: "cannot be reached") { $0.cloud1.state = .unreachable },
        Case(testDescription: "engine down", reason: "its engine does not answer") { $0.cloud1.state = .engineDown },
        Case(testDescription: "takes no work", reason: "takes no work") { $0.cloud1.acceptsWork = false },
        Case(testDescription: "drained", reason: "`lighter nodes resume cloud1` ends that") {
            $0.cloud1.drainedSince = 1
        },
        Case(testDescription: "tenant", reason: "belongs to tenant acme") { $0.cloud1.tenant = try TenantID("acme") },
        Case(testDescription: "platform asked for", reason: "its platform is linux/arm64, not linux/amd64") {
            $0.cloud1.platform = "linux/arm64"
            $0.request.platform = "linux/amd64"
        },
        Case(testDescription: "platform of the origin's image", reason: "not linux/amd64") {
            $0.cloud1.platform = "linux/arm64"
        },
        Case(testDescription: "tag", reason: "lacks the tag fpga") {
            $0.request.policy.tags = ["cloud", "fpga"]
        },
        Case(testDescription: "cpu", reason: "2 cores are free, 4 are asked for") {
            $0.cloud1.reserved.cpus = 6
            $0.request.resources.cpus = 4
        },
        Case(testDescription: "memory", reason: "1 GiB of memory is free, 2 GiB is asked for") {
            $0.cloud1.reserved.memory = .gibibytes(7)
            $0.request.resources.memory = .gibibytes(2)
        },
        Case(testDescription: "disk", reason: "100 MiB of disk is free") {
            $0.cloud1.measures.diskFree = .mebibytes(100)
            $0.request.imageSize = .mebibytes(50)
        },
        Case(testDescription: "full disk", reason: "1 B of disk is free") {
            $0.cloud1.measures.diskFree = ByteCount(1)
        },
        Case(testDescription: "tie", reason: "the container uses bind mount /data, which only edge has") {
            $0.request.ties = ["bind mount /data"]
        },
        Case(testDescription: "refused just now", reason: "it refused just now: pids are short") {
            $0.refused = [$0.cloud1.id: "pids are short"]
        },
    ]

    @Test("A node that cannot have the work is refused with a reason", arguments: cases)
    func refusal(_ example: Case) throws {
        var fixture = try Fixture(.remote)
        let before = fixture
        try example.bend(&fixture)
        fixture.request.policy.target = fixture.cloud1.id
        let decision = fixture.decide()
        #expect(decision.target == nil)
        let reasons = try #require(decision.candidate("cloud1")).refusals
        #expect(reasons.contains { $0.contains(example.reason) }, "\(reasons)")
        #expect(decision.reason.contains(example.reason))
        // The same fleet, unbent, would have taken it.
        var unbent = before
        unbent.request.policy.target = unbent.cloud1.id
        #expect(unbent.decide().target == unbent.cloud1.id)
    }

    @Test("What was asked for to the last core and byte fits")
    func exactFit() throws {
        var fixture = try Fixture(.remote)
        fixture.request.policy.target = fixture.cloud1.id
        fixture.request.resources = Resources(cpus: 8, memory: .gibibytes(8))
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test("A node that has the image needs no disk for it")
    func imageThere() throws {
        var fixture = try Fixture(.remote)
        fixture.request.policy.target = fixture.cloud1.id
        fixture.cloud1.measures.diskFree = .mebibytes(100)
        fixture.request.imageSize = .mebibytes(500)
        #expect(fixture.decide().target == nil)
        fixture.estimates.note(image: fixture.request.imageID, at: fixture.cloud1.id)
        #expect(fixture.decide().target == fixture.cloud1.id)
    }

    @Test(
        "Platforms match in every spelling that Docker takes",
        arguments: [
            ("linux/amd64", "linux/amd64", true), ("linux/amd64", "linux/x86_64", true), ("linux/amd64", "", true),
            ("", "linux/amd64", true), ("linux/amd64", "amd64", true), ("linux/amd64", "linux", true),
            ("linux/amd64", "linux/arm64", false), ("linux/amd64", "windows/amd64", false),
            ("linux/aarch64", "linux/arm64/v8", true),
            ("linux/arm64", "arm64", true), ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/amd64/v3", "linux/amd64/v2", true), ("linux/amd64/v2", "linux/amd64/v3", false),
            ("LINUX/AMD64", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/", true), ("linux/386", "linux/i386", true),
            ("linux/amd64/vx", "linux/amd64/v3", false),
            ("linux/amd64", "///", true),
        ])
    func platforms(has: String, wants: String, runs: Bool) {
        #expect(Platform(has).runs(Platform(wants)) == runs)
    }

    @Test("The origin takes what its engine would: no filter of others holds it back")
    func originIsFree() throws {
        var fixture = try Fixture(.local)
        fixture.edge.state = .unreachable
        fixture.edge.acceptsWork = false
        fixture.edge.measures.diskFree = ByteCount(1)
        fixture.request.resources = Resources(cpus: 64, memory: .gibibytes(64))
        fixture.request.platform = "linux/s390x"
        fixture.request.policy.tags = ["gpu"]
        let decision = fixture.decide()
        #expect(decision.target == fixture.edge.id)
        #expect(decision.warnings.isEmpty)
    }

    @Test("Nothing runs where the origin's engine is down and nobody else fits", arguments: Policy.Kind.allCases)
    func engineDown(kind: Policy.Kind) throws {
        var fixture = try Fixture(kind)
        fixture.edge.state = .engineDown
        fixture.cloud1.acceptsWork = false
        fixture.cloud2.acceptsWork = false
        let decision = fixture.decide()
        #expect(decision.target == nil)
        #expect(decision.reason.contains("its engine does not answer"))
    }
}
