package comparison

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

var lost = Metric{Key: "lost", Title: "lost", Of: "sent"}

func example() Run {
	gap := Metric{Key: "gap", Title: "longest gap", Unit: Milliseconds, Within: 0.25, Slack: 50}
	alive := Metric{Key: "alive", Title: "alive", Better: Higher}
	starts := Metric{Key: "starts", Title: "starts", Better: Neither}
	same := Metric{Key: "same", Title: "the same gunicorn", Unit: YesNo, Better: Higher}
	return Run{
		Date: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC), Machine: "2 processors", Command: "make compare", Ours: "us",
		Programs: []Program{{"us", "1.0", "as its README says"}, {"them", "2.0", "by a | pipe"}, {"gone", "", "no package"}},
		Scenarios: []Scenario{
			{"kill the master", "What was done.", []Metric{lost, gap, alive, starts, same}, []Row{
				{Program: "us", Figures: map[string]float64{"lost": 1, "sent": 1234, "gap": 90, "alive": 1000, "starts": 9, "same": 1}},
				{Program: "them", Figures: map[string]float64{"lost": 0, "sent": 1200, "gap": 60, "alive": 1000, "starts": 1, "same": 0}, Remark: "a remark"},
				{Program: "gone", Without: "cannot do it"},
			}},
			{"memory", "Idle.", []Metric{{Key: "mb", Title: "PSS", Unit: Megabytes, Within: 0.05}, {Key: "s", Title: "took", Unit: Seconds}}, []Row{
				{Program: "us", Figures: map[string]float64{"mb": 10}},
				{Program: "them", Figures: map[string]float64{"mb": 9.8, "s": 0.25}},
			}},
		},
	}
}

func TestTableSaysEveryFigureAndMarksWhereOursIsWorse(t *testing.T) {
	got := example().Markdown(map[string]string{"memory": "memory.svg"})
	want := `Measured on 2026-11-28 01:02 UTC by ` + "`make compare`" + `. Machine: 2 processors.

| program | version | how it was set up |
| --- | --- | --- |
| **us** | 1.0 | as its README says |
| them | 2.0 | by a \| pipe |
| gone | not compared | no package |

### Kill the master

What was done.

|  | lost | longest gap | alive | starts | the same gunicorn | remark |
| --- | --- | --- | --- | --- | --- | --- |
| **us** | 1 of 1,234 (worse) | 90 ms | 1,000 | 9 | yes |  |
| them | 0 of 1,200 | 60 ms | 1,000 | 1 | no | a remark |
| gone | cannot do it |  |  |  |  |  |

### Memory

Idle.

|  | PSS | took |
| --- | --- | --- |
| **us** | 10.0 MB | – |
| them | 9.8 MB | 0.2 s |

![memory](memory.svg)

### Where another one is better

- kill the master, lost: 1 of 1,234, and 0 of 1,200 with them
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestFigureIsWorseOnlyByMoreThanItMayVary(t *testing.T) {
	for _, c := range []struct {
		metric       Metric
		mine, theirs float64
		worse        bool
	}{
		{Metric{}, 1, 0, true},
		{Metric{}, 0, 0, false},
		{Metric{}, 0, 1, false},
		{Metric{Slack: 50}, 150, 100, false},
		{Metric{Slack: 50}, 151, 100, true},
		{Metric{Within: 0.25, Slack: 50}, 1240, 1000, false},
		{Metric{Within: 0.25, Slack: 50}, 1260, 1000, true},
		{Metric{Better: Higher}, 999, 1000, true},
		{Metric{Better: Higher}, 1000, 1000, false},
		{Metric{Better: Higher}, 1000, 10, false},
		{Metric{Better: Higher, Within: 0.25}, 90, 100, false},
	} {
		if got := c.metric.worse(c.mine, c.theirs); got != c.worse {
			t.Errorf("%+v: %v against %v: worse %v, want %v", c.metric, c.mine, c.theirs, got, c.worse)
		}
	}
}

func TestTheBestOfTheOthersIsComparedAndWhoWasNotMeasuredIsNot(t *testing.T) {
	s := Scenario{Title: "deploy", Metrics: []Metric{lost}, Rows: []Row{
		{Program: "far", Figures: map[string]float64{"lost": 3}},
		{Program: "us", Figures: map[string]float64{"lost": 5}},
		{Program: "none", Without: "cannot"},
		{Program: "near", Figures: map[string]float64{"lost": 2}},
		{Program: "other", Figures: map[string]float64{"sent": 7}},
	}}
	r := Run{Ours: "us", Scenarios: []Scenario{s}}
	if got := r.Losses(); len(got) != 1 || got[0].Program != "near" || got[0].Name() != "deploy, lost" {
		t.Errorf("got %v", got)
	}
	r.Ours = "none"
	if got := r.Losses(); got != nil {
		t.Errorf("what was not measured is worse: %v", got)
	}
}

func TestOnlyWhatIsBetweenTheLinesIsReplaced(t *testing.T) {
	text := "# Title\n\n" + Begin + "\nold\n" + End + "\n\nby hand\n"
	got, err := Put(text, "new\n\n")
	if want := "# Title\n\n" + Begin + "\nnew\n" + End + "\n\nby hand\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := Put(got, "new"); err != nil || again != got {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, text := range []string{"", Begin + "\n", End + "\n" + Begin + "\n", text + text} {
		if got, err := Put(text, "new"); err == nil {
			t.Errorf("%q became %q, want an error", text, got)
		}
	}
}

func TestLossThatTheTextDoesNotExplainIsSaid(t *testing.T) {
	between := example().Markdown(nil)
	text, err := Put("by hand\n"+Begin+"\n"+End+"\n", between)
	if err != nil {
		t.Fatal(err)
	}
	if got := Unexplained(text); !slices.Equal(got, []string{"kill the master, lost"}) {
		t.Errorf("unexplained: %q", got)
	}
	for _, line := range []string{"- **kill the master, lost**: it was in its hands.\n", "- **memory, PSS; kill the master, lost**: both.\n"} {
		if got := Unexplained(line + text); got != nil {
			t.Errorf("with %q: unexplained: %q", line, got)
		}
	}
	// What the command itself wrote explains nothing.
	inside := strings.Replace(text, End, "- **kill the master, lost**\n"+End, 1)
	if got := Unexplained(inside); !slices.Contains(got, "kill the master, lost") {
		t.Errorf("explained by the command itself: %q", got)
	}
}

func TestChartHasABarForEachThatWasMeasured(t *testing.T) {
	r := example()
	r.Scenarios[1].Rows = append(r.Scenarios[1].Rows, Row{Program: `<"&>`, Figures: map[string]float64{"mb": 4000}}, Row{Program: "none"}, Row{Program: "zero", Figures: map[string]float64{"mb": 0}})
	chart := r.Chart(r.Scenarios[1], "mb")
	var said []string
	bars := 0
	for d := xml.NewDecoder(strings.NewReader(chart)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, chart)
		}
		switch token := token.(type) {
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				said = append(said, s)
			}
		case xml.StartElement:
			if token.Name.Local == "rect" {
				bars++
			}
		}
	}
	want := []string{"memory: PSS (logarithmic)", "us", "10.0 MB", "them", "9.8 MB", `<"&>`, "4000.0 MB", "zero", "0.0 MB"}
	if !slices.Equal(said, want) || bars != 1+4 {
		t.Errorf("says %q with %d rectangles, want %q with 5", said, bars, want)
	}
}

func TestNumbersAreWrittenWithCommas(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999.6: "1,000", 12: "12", 1234567: "1,234,567", -1200: "-1,200"} {
		if got := Thousands(v); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
}
