import DockerAPI
import Testing

@testable import lighter

@Suite("lighter images")
struct ImagesTests {
    @Test("Each node has a line under its image, with what is missing there")
    func table() throws {
        let rows = [
            ImageRow([
                "Id": .string("sha256:0123456789abcdef"), "Names": ["web:2", "web:latest"], "Size": 2_097_152,
                "Nodes": [
                    ["Node": "edge1", "Has": true, "Missing": 0],
                    [
                        "Node": "cloud1", "Has": false, "Missing": 1024, "Brought": true, "LastUsed": 1000,
                        "Pinned": true, "Until": 8800,
                    ],
                    ["Node": "cloud2", "Has": false, "Missing": .null, "LastUsed": 1600, "Pinned": true],
                ],
            ]),
            ImageRow(["Id": "sha256:ffff", "Names": [], "Size": 0, "Nodes": [["Node": "edge1", "Has": true]]]),
        ]
        #expect(
            ImagesList.table(rows, now: 1605) == """
                IMAGE               ID             SIZE    NODE     MISSING THERE   UNUSED FOR   PINNED
                web:2, web:latest   0123456789ab   2 MiB   edge1    nothing
                                                           cloud1   1 KiB           10 min       for 119 min
                                                           cloud2   not known       5 s          yes
                <none>              ffff           0 B     edge1    nothing
                """)
    }

    @Test("A pin has a line for each node that heard of it")
    func pin() {
        let answer: JSON = ["Nodes": [["Node": "cloud1", "Brought": true], ["Node": "cloud2", "Brought": false]]]
        #expect(
            Pinning(image: "web", node: nil, isPinned: true).lines(answer)
                == "cloud1: pinned\ncloud2: its owner's, stays anyway")
        #expect(
            Pinning(image: "web", node: nil, isPinned: false).lines(answer)
                == "cloud1: not pinned any more\ncloud2: its owner's, stays anyway")
    }
}
