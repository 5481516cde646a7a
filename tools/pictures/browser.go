package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// sharp is the number of pixels of a picture per CSS pixel.
const sharp = 2

// browser is a headless Chromium.
type browser struct {
	ctx context.Context
	end context.CancelFunc
}

func browse(ctx context.Context) (*browser, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errors.New("no Chromium found; install it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("hide-scrollbars", true))
	allocator, free := chromedp.NewExecAllocator(ctx, options...)
	tab, cancel := chromedp.NewContext(allocator)
	b := &browser{tab, func() { cancel(); free() }}
	if err := chromedp.Do(tab, chromedp.Navigate("about:blank")); err != nil {
		b.end()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return b, nil
}

// draw returns a PNG of a document, of the document's size and with a transparent
// background.
func (b *browser) draw(document string) ([]byte, error) {
	clear := emulation.SetDefaultBackgroundColorOverrideParams{Color: &cdp.RGBA{}}
	if _, err := chromedp.Call(b.ctx, emulation.SetDefaultBackgroundColorOverride, clear); err != nil {
		return nil, err
	}
	url := "data:text/html;charset=utf-8;base64," + base64.StdEncoding.EncodeToString([]byte(document))
	return b.shoot(url, columns*cellWidth+2*margin, 0, "dark")
}

// shoot returns a PNG of a page in a window of the given size in CSS pixels. If
// height is 0 the window is as high as the page.
func (b *browser) shoot(url string, width, height int64, theme string) ([]byte, error) {
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		return nil, err
	}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 100, chromedp.EmulateScale(sharp)), chromedp.Navigate(url)); err != nil {
		return nil, err
	}
	if height == 0 {
		var err error
		height, err = chromedp.Run(b.ctx, chromedp.Evaluate[int64](`Math.ceil(document.documentElement.getBoundingClientRect().height)`))
		if err != nil {
			return nil, err
		}
	}
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(width, height, chromedp.EmulateScale(sharp))); err != nil {
		return nil, err
	}
	return chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
}
