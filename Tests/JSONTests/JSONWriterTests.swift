import JSON
import Testing

@Suite struct JSONWriterTests {
    private func written(_ body: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        body(&writer)
        return writer.text
    }

    @Test func commasComeByThemselves() {
        let text = written { json in
            json.object { json in
                json.member("a", 1)
                json.key("b")
                json.array { json in
                    json.value(2.5)
                    json.value("x")
                    json.value(nil)
                    json.object { _ in }
                    json.array { _ in }
                    json.value(json: "-0.1")
                }
                json.member("c", true)
                json.member("d", Double.nan)
                json.member("e", nil)
                json.member("f", "")
            }
        }
        #expect(text == #"{"a":1,"b":[2.5,"x",null,{},[],-0.1],"c":true,"d":null,"e":null,"f":""}"#)
    }

    @Test func valuesOfLinesStandOnLinesOfTheirOwn() {
        let text = written { json in
            json.lines { json in
                json.array { json in for number in 1...2 { json.value(number) } }
                json.object { json in
                    json.key("a")
                    json.lines { _ in }
                    json.member("b", 1)
                }
                json.value("x")
            }
        }
        #expect(text == "[[1,2],\n{\"a\":[],\"b\":1},\n\"x\"]")
    }

    @Test(
        arguments: [
            (#"a"b\c/"#, #""a\"b\\c/""#), ("\n\r\t", #""\n\r\t""#), ("\r\n", #""\r\n""#),
            ("\u{0}\u{1b}\u{1f}\u{7f}", #""\u0000\u001b\u001f\u007f""#),
            ("\u{80}\u{9b}\u{9f}\u{a0}", "\"\\u0080\\u009b\\u009f\u{a0}\""),
            ("e\u{301}\u{e9}\u{2028}\u{1f600}", "\"e\u{301}\u{e9}\u{2028}\u{1f600}\""),
            ("\u{c2}\u{95}\u{c3}", "\"\u{c2}\\u0095\u{c3}\""), ("", "\"\""),
        ])
    func aTextIsQuoted(text: String, expected: String) {
        // By bytes: `==` takes texts for the same that look alike.
        #expect(Array(written { $0.value(text) }.utf8) == Array(expected.utf8))
    }

    @Test func aNameIsQuotedLikeAText() {
        #expect(written { $0.object { $0.member("a\"\n", 1) } } == #"{"a\"\n":1}"#)
    }
}
