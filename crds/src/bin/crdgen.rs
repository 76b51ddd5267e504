//! Writes the custom resource definitions to the folder named by the first argument.

use std::{error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: crdgen FOLDER")?);
    fs::create_dir_all(&folder)?;
    for (file, crd) in easycode_crds::definitions() {
        fs::write(folder.join(&file), easycode_crds::to_yaml(&crd)?)?;
        println!("{}", folder.join(file).display());
    }
    Ok(())
}
