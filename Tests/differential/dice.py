"""What chance decides in pipelines, walks and stories."""


class Dice:
    """Rolls `self.random`, which whoever inherits this has seeded."""

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, values):
        return self.random.choice(values)

    def weighted(self, table):
        """One of the second elements of the rows, the first of which are their weights."""
        return self.random.choices([row[1] for row in table], [row[0] for row in table])[0]
