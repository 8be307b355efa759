// Command medctrl-image writes images into one archive, as `ctr images import` reads it: no registry and no
// daemon is needed. Standard input has a list of images in JSON; layers are tar files, the lowest first.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type image struct {
	Name       string
	User       string
	Entrypoint []string
	Layers     []string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: medctrl-image ARCHIVE <IMAGES.json")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "medctrl-image:", err)
		os.Exit(1)
	}
}

func write(archive string) error {
	var images []image
	if err := json.NewDecoder(os.Stdin).Decode(&images); err != nil {
		return fmt.Errorf("read the list of images: %w", err)
	}
	layers := map[string]v1.Layer{} // that of several images is read once
	named := map[name.Reference]v1.Image{}
	for _, im := range images {
		ref, err := name.NewTag(im.Name)
		if err != nil {
			return err
		}
		made, err := im.make(layers)
		if err != nil {
			return fmt.Errorf("image %s: %w", im.Name, err)
		}
		named[ref] = made
	}
	return tarball.MultiRefWriteToFile(archive, named)
}

func (im image) make(layers map[string]v1.Layer) (v1.Image, error) {
	made := v1.Image(empty.Image)
	for _, path := range im.Layers {
		if layers[path] == nil {
			layer, err := tarball.LayerFromFile(path)
			if err != nil {
				return nil, fmt.Errorf("layer %s: %w", path, err)
			}
			layers[path] = layer
		}
		var err error
		if made, err = mutate.AppendLayers(made, layers[path]); err != nil {
			return nil, fmt.Errorf("layer %s: %w", path, err)
		}
	}
	file, err := made.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config.User, file.Config.Entrypoint = im.User, im.Entrypoint
	file.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return mutate.ConfigFile(made, file)
}
