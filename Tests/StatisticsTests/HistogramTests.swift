import Statistics
import Testing

struct HistogramTests {
    @Test func everyDurationFallsIntoTheBucketWhoseBoundsEncloseIt() {
        for duration in Array(0...5000) + (0..<40).flatMap({ [Int64(1) << $0, (Int64(1) << $0) + 1, (Int64(1) << $0) * 3 / 2] }) {
            let bucket = Histogram.bucket(of: Int64(duration))
            #expect(Histogram.lowerBound(of: bucket) <= Int64(duration))
            if bucket + 1 < Histogram.bucketCount { #expect(Histogram.lowerBound(of: bucket + 1) > Int64(duration)) }
        }
    }

    @Test func bucketsAreInOrderAndNoneIsWiderThanAQuarter() {
        for bucket in 1..<Histogram.bucketCount {
            let (low, high) = (Histogram.lowerBound(of: bucket - 1), Histogram.lowerBound(of: bucket))
            #expect(low < high)
            if bucket > 4 { #expect((high - low) * 4 <= low) }
        }
    }

    @Test func extremesHaveABucket() {
        #expect(Histogram.bucket(of: -5) == 0)
        #expect(Histogram.bucket(of: .max) == Histogram.bucketCount - 1)
    }

    @Test func quantilesLieWithinABucketOfTheTruth() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == nil)
        for duration in 1...10_000 { histogram.record(Int64(duration)) }
        for share in [0.01, 0.5, 0.95, 0.99] {
            let truth = share * 10_000
            #expect(abs(histogram.quantile(share)! - truth) <= truth / 4 + 1)
        }
        #expect(histogram.count == 10_000)
        #expect(histogram.count(below: 1024) == 1023)
    }

    @Test func sumsAndDifferencesUndoEachOther() {
        var (a, b) = (Histogram(), Histogram())
        a.record(7)
        b.record(7)
        b.record(1_000_000)
        var sum = a
        sum += b
        #expect(sum.count == 3)
        #expect((sum - b).count == 1)
        #expect((sum - b)[Histogram.bucket(of: 7)] == 1)
    }
}
