package wechattest

// OpenFrame, SealFrame and PushSignature let tests receive pushes and answer them
// as a site does.
var (
	OpenFrame     = openFrame
	SealFrame     = sealFrame
	PushSignature = pushSignature
)
