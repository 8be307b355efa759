// Package comparison writes down how several programs did in the same scenarios: as Markdown tables,
// as bar charts in SVG, and as a list of the figures in which another one is better than ours.
//
// It measures nothing and decides nothing but that: what it is given is a Run, and the same Run makes
// the same text. Whoever reads docs/comparison.md can rely on that every figure in which ours is worse
// is marked there; Unexplained says which of them the text around the tables does not explain.
package comparison
