// Command dashboard writes the Grafana dashboard of the chart, and checks it against Grafana's schema.
//
//	dashboard FILE           writes it
//	dashboard --check FILE   the file is what would be written, and the schema knows every field in it
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const selector = `{job=~"$job",namespace=~"$namespace"`

var datasource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

func main() {
	arguments := os.Args[1:]
	check := len(arguments) == 2 && arguments[0] == "--check"
	if len(arguments) != 1 && !check {
		fail("dashboard [--check] FILE")
	}
	path, written := arguments[len(arguments)-1], write()
	if !check {
		if err := os.WriteFile(path, written, 0o644); err != nil {
			fail(err)
		}
		return
	}
	there, err := os.ReadFile(path)
	if err != nil {
		fail(err)
	}
	if !bytes.Equal(there, written) {
		fail(path, "is not what helm/dashboard writes: run `just dashboard`")
	}
	fits(path, there)
	fmt.Println("dashboard: as written, and fits Grafana's schema")
}

// fits reads the file strictly: a field that the schema does not know is refused, in panels and queries too.
func fits(path string, there []byte) {
	plugins.RegisterDefaultPlugins()
	read := dashboard.Dashboard{}
	// Where there is nothing wrong it gives an empty list, which is not nil.
	wrong := cog.BuildErrors{}
	if err := read.UnmarshalJSONStrict(there); err != nil && (!errors.As(err, &wrong) || len(wrong) > 0) {
		fail(path, "does not fit the schema:", err)
	}
	if err := read.Validate(); err != nil {
		fail(path, "is not valid:", err)
	}
}

func fail(words ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"dashboard:"}, words...)...)
	os.Exit(1)
}

func write() []byte {
	builder := dashboard.NewDashboardBuilder("inkpass").
		Uid("inkpass").
		Description("inkpass: calls, tokens, the whiteboard API, saturation, keys, audit trail, store. Runbooks: docs/runbooks.").
		Tags([]string{"inkpass"}).
		Time("now-3h", "now").
		Refresh("30s").
		Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(labelValues("namespace", "label_values(inkpass_build_info, namespace)").IncludeAll(true).AllValue(".*")).
		WithVariable(labelValues("job", `label_values(inkpass_build_info{namespace=~"$namespace"}, job)`))
	for _, row := range rows {
		builder.WithRow(dashboard.NewRowBuilder(row.title))
		for _, panel := range row.panels {
			builder.WithPanel(panel.build(row.height, row.span))
		}
	}
	built, err := builder.Build()
	if err != nil {
		fail(err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		fail(err)
	}
	return append(text, '\n')
}

func labelValues(name, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).
		Label(strings.ToUpper(name[:1]) + name[1:]).
		Datasource(datasource).
		Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc)
}

// A row of panels of one size.
type row struct {
	title        string
	height, span uint32
	panels       []panel
}

// A panel, and from which value on it is red, if there is one.
type panel struct {
	title, about, unit string
	queries            []query
	red                float64
}

// A query; `{@` in it is the selector of what the dashboard shows.
type query struct{ expr, legend string }

func (panel panel) build(height, span uint32) cog.Builder[dashboard.Panel] {
	if span <= smallest {
		builder := stat.NewPanelBuilder().
			GraphMode(common.BigValueGraphModeArea).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			Thresholds(panel.thresholds())
		builder.Title(panel.title).Description(panel.about).Unit(panel.unit).Height(height).Span(span).Datasource(datasource)
		for _, query := range panel.queries {
			builder.WithTarget(query.build())
		}
		return builder
	}
	builder := timeseries.NewPanelBuilder().
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		FillOpacity(8).
		ShowPoints(common.VisibilityModeNever).
		Thresholds(panel.thresholds())
	if panel.red != 0 {
		builder.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeLine))
	}
	builder.Title(panel.title).Description(panel.about).Unit(panel.unit).Height(height).Span(span).Datasource(datasource)
	for _, query := range panel.queries {
		builder.WithTarget(query.build())
	}
	return builder
}

func (panel panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	if panel.red != 0 {
		steps = append(steps, dashboard.Threshold{Color: "red", Value: &panel.red})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (query query) build() *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().
		Datasource(datasource).
		Expr(strings.ReplaceAll(query.expr, "{@", selector)).
		LegendFormat(query.legend).
		Range()
}
